"""Accounts, permissions, roles and webhooks: the administrators', and no way past the gate for them either."""

import uuid
from typing import TYPE_CHECKING

import pytest

from flywheel.identities import CONTROLLER
from tests.registry.doors.conftest import ADMINISTRATOR, AUTHOR, REVIEWER, STRANGER, Knock, stage

if TYPE_CHECKING:
    from tests.registry.conftest import Server

RIGHT = {"resource_type": "registered_model", "permission": "MANAGE"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "2.0/mlflow/users/create"),
        ("DELETE", "2.0/mlflow/users/delete"),
        ("PATCH", "2.0/mlflow/users/update-admin"),
        ("POST", "3.0/mlflow/users/permissions/grant"),
        ("POST", "3.0/mlflow/users/permissions/revoke"),
        ("POST", "3.0/mlflow/roles/create"),
        ("POST", "3.0/mlflow/roles/assign"),
        ("DELETE", "3.0/mlflow/roles/unassign"),
        ("POST", "3.0/mlflow/roles/permissions/add"),
        ("POST", "2.0/mlflow/webhooks"),
        ("GET", "2.0/mlflow/webhooks"),
        ("POST", "2.0/mlflow/webhooks/x/test"),
    ],
)
def test_only_administrators_change_accounts_rights_and_webhooks(
    server: "Server", knock: Knock, model: str, method: str, path: str
) -> None:
    body = {"username": AUTHOR, "password": "a-long-password", "is_admin": True, "name": "n", "workspace": "default"}
    body |= {**RIGHT, "resource_id": model, "resource_pattern": model, "role_id": 1, "url": "https://a.example"}
    for user in (AUTHOR, REVIEWER):
        answer = knock(user, method, f"/api/{path}", body)
        assert answer.status in {400, 403}, answer
        assert knock(user, method, f"/ajax-api/{path}", body).status in {400, 403}
    assert knock(STRANGER, method, f"/api/{path}", body).status == 401


def test_the_owner_of_a_model_neither_gives_nor_takes_rights_on_it(server: "Server", knock: Knock, model: str) -> None:
    server.register(model, AUTHOR)
    for path, user in (("grant", "svc-monitoring"), ("revoke", CONTROLLER)):
        body = {"username": user, "resource_id": model, **RIGHT}
        answer = knock(AUTHOR, "POST", f"/api/3.0/mlflow/users/permissions/{path}", body)
        assert answer.status == 403, answer
    version = server.register(model, AUTHOR)
    assert server.move(REVIEWER, model, version, "Production").status_code == 200
    server.made(CONTROLLER, "registered-models/alias", name=model, alias="challenger", version=version)


def test_rights_from_an_administrator_help_nobody_past_the_gate(server: "Server", knock: Knock, model: str) -> None:
    version = server.register(model, AUTHOR)
    for user in (AUTHOR, ADMINISTRATOR):
        body = {"username": user, "resource_id": model, **RIGHT}
        answer = knock(ADMINISTRATOR, "POST", "/api/3.0/mlflow/users/permissions/grant", body)
        assert answer.status in {200, 400}, answer  # 400: it is theirs already
        assert server.move(user, model, version, "Production").status_code == 403
        alias = {"name": model, "alias": "champion", "version": version}
        assert server.post(user, "registered-models/alias", **alias).status_code == 403
    assert stage(server, model, version) == "None"


def test_an_administrators_new_account_is_no_reviewer(server: "Server", model: str) -> None:
    version, name, password = server.register(model, AUTHOR), f"eve-{uuid.uuid4().hex[:8]}", "a-long-password-1"
    server.made(ADMINISTRATOR, "users/create", username=name, password=password)
    promoted = {"username": name, "is_admin": True}
    assert server.call(ADMINISTRATOR, "PATCH", "mlflow/users/update-admin", json=promoted).status_code in {200, 403}
    server.known.users[name] = password
    try:
        assert server.move(name, model, version, "Production").status_code == 403
    finally:
        del server.known.users[name]
        server.call(ADMINISTRATOR, "DELETE", "mlflow/users/delete", json={"username": name})
    assert stage(server, model, version) == "None"


def test_nobody_changes_anothers_password(server: "Server", knock: Knock) -> None:
    body = {"username": REVIEWER, "password": "a-long-password-1"}
    for path in ("/api/2.0/mlflow/users/update-password", "/ajax-api/2.0/mlflow/users/update-password"):
        assert knock(AUTHOR, "PATCH", path, body).status == 403
        assert knock(STRANGER, "PATCH", path, body).status == 401
    assert server.call(REVIEWER, "GET", "mlflow/users/current").status_code == 200


def test_an_administrator_keeps_webhooks(server: "Server", knock: Knock) -> None:
    body = {
        "name": "told",
        "url": "https://hooks.example/x",
        "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}],
    }
    made = knock(ADMINISTRATOR, "POST", "/api/2.0/mlflow/webhooks", {**body, "status": "DISABLED"})
    assert made.status in {200, 400}, made  # 400: MLflow wants a name that it can look up
    assert knock(ADMINISTRATOR, "GET", "/api/2.0/mlflow/webhooks").status == 200
