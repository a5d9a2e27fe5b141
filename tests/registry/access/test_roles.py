"""Roles: what each may change at all, on a real server with two workers; and how MLflow's roles follow the policy."""

import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flywheel.identities import ADMIN, AGENTS, CONTROLLER, GATES, MONITORING, TRAINING
from flywheel.policy import Policy

with warnings.catch_warnings():  # MLflow's server uses what SQLAlchemy has deprecated
    warnings.simplefilter("ignore")
    from mlflow.server import auth
    from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME

    from registry.access.roles import FRESH, RoleBook, keep_in_step

if TYPE_CHECKING:
    from tests.registry.access.conftest import Apart

CHANGES: tuple[tuple[str, str, dict[str, str] | None], ...] = (
    ("POST", "mlflow/experiments/create", {"name": "x"}),
    ("POST", "mlflow/registered-models/create", {"name": "x"}),
    ("POST", "mlflow/runs/create", {"experiment_id": "0"}),
    ("POST", "mlflow/runs/log-metric", {}),
    ("POST", "mlflow/model-versions/create", {"name": "x", "source": "s"}),
    ("POST", "mlflow/model-versions/transition-stage", {"name": "x", "version": "1", "stage": "Staging"}),
    ("POST", "/ajax-api/2.0/mlflow/registered-models/alias", {"name": "x", "alias": "a", "version": "1"}),
    ("PUT", "mlflow-artifacts/artifacts/0/run/artifacts/file", None),
    ("PUT", "/ajax-api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/file", None),
    ("DELETE", "mlflow-artifacts/artifacts/0/run/artifacts/file", None),
    ("POST", "mlflow/users/create", {"username": "x", "password": "a long password"}),
    ("POST", "/api/3.0/mlflow/roles/create", {"name": "x"}),
    ("POST", "/flywheel/api/anything", {}),
)


@pytest.mark.parametrize("user", ["vera", AGENTS, "stray"])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_who_only_reads_changes_nothing_by_any_door(
    apart: "Apart", user: str, method: str, path: str, body: dict[str, str] | None
) -> None:
    _account(apart, user)
    answer = (
        apart.call(user, method, path, json=body) if body is not None else apart.call(user, method, path, data=b"x")
    )
    assert answer.status_code == 403
    assert answer.json()["message"].startswith("Change refused: ")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "mlflow/experiments/get?experiment_id=0", None),
        ("POST", "mlflow/experiments/search", {"max_results": 5}),
        ("POST", "mlflow/runs/search", {"experiment_ids": ["0"]}),
        ("POST", "mlflow/logged-models/search", {"experiment_ids": ["0"]}),
        ("GET", "mlflow/registered-models/search", None),
        ("POST", "mlflow/registered-models/get-latest-versions", {"name": "{model}"}),
        ("GET", "/flywheel/review/", None),
        ("GET", "/", None),
    ],
)
def test_a_viewer_reads_everything(apart: "Apart", method: str, path: str, body: dict[str, object] | None) -> None:
    model = apart.model()
    filled = {key: model if value == "{model}" else value for key, value in body.items()} if body else None
    assert apart.call("vera", method, path, json=filled).status_code == 200


def test_a_viewer_keeps_the_right_to_their_own_password(apart: "Apart") -> None:
    user = f"own-{uuid.uuid4().hex[:8]}"
    _account(apart, user)
    old, new = apart.passwords[user], "another long password"
    body = {"username": user, "password": new, "current_password": old}
    assert apart.call(user, "PATCH", "mlflow/users/update-password", json=body).status_code == 200
    assert apart.each_worker(lambda: apart.call(user, "GET", "mlflow/users/current").status_code) == {401}
    apart.passwords[user] = new
    assert apart.each_worker(lambda: apart.call(user, "GET", "mlflow/users/current").status_code) == {200}


@pytest.mark.parametrize("user", ["sam", "grace", "olga", TRAINING, CONTROLLER])
def test_whoever_works_on_models_may_edit_one_that_ada_made_before(apart: "Apart", user: str) -> None:
    assert apart.tag(user, apart.model("ada")).status_code == 200


@pytest.mark.parametrize("user", [MONITORING, GATES])
def test_services_get_no_more_than_they_need(apart: "Apart", user: str) -> None:
    assert apart.tag(user, apart.model("ada")).status_code == 403


def test_the_controller_may_remove_an_alias_of_a_model_that_it_did_not_make(apart: "Apart") -> None:
    path, body = "mlflow/registered-models/alias", {"name": apart.model(), "alias": "nothing"}
    assert apart.call(CONTROLLER, "DELETE", path, json=body).status_code == 200
    assert apart.call("sam", "DELETE", path, json=body).status_code == 403


def test_a_person_may_not_give_rights_on_what_they_made(apart: "Apart") -> None:
    body = {"username": "vera", "resource_type": "registered_model", "resource_id": apart.model(), "permission": "EDIT"}
    answer = apart.call("ada", "POST", "/api/3.0/mlflow/users/permissions/grant", json=body)
    assert answer.status_code == 403
    assert "Ask an administrator" in answer.json()["message"]


def test_an_account_that_was_just_made_may_work_at_once_in_each_worker(apart: "Apart") -> None:
    model = apart.model()
    for _ in range(3):
        assert apart.call(ADMIN, "DELETE", "mlflow/users/delete", json={"username": "sam"}).status_code == 200
        _account(apart, "sam")
        assert apart.each_worker(lambda: apart.tag("sam", model).status_code) == {200}


def test_a_change_of_policy_holds_within_a_second_in_each_worker_without_a_restart(apart: "Apart") -> None:
    model, before = apart.model(), apart.people()
    headers = {"Authorization": f"Bearer {_token(apart, 'sam')}"}
    assert apart.each_worker(lambda: apart.tag("sam", model).status_code) == {200}
    apart.adopt(before | {"sam": "viewer"})
    assert apart.each_worker(lambda: apart.tag("sam", model).status_code, after=1) == {403}
    assert apart.tag(None, model, headers=headers).status_code == 403
    apart.adopt({name: role for name, role in before.items() if name != "sam"})  # who leaves reads no more through SSO
    assert apart.through_proxy("sam", "GET", "mlflow/users/current").status_code == 401
    assert apart.tag("sam", model).status_code == 403
    apart.adopt(before)
    assert apart.each_worker(lambda: apart.tag("sam", model).status_code, after=1) == {200}


def _token(apart: "Apart", user: str) -> str:
    answer = apart.call(user, "POST", "/flywheel/api/tokens", json={"name": "x", "scopes": "registry"})
    return str(answer.json()["token"])


def _account(apart: "Apart", user: str) -> None:
    password = apart.passwords.setdefault(user, "a long enough password")
    body = {"username": user, "password": password}
    assert apart.call(ADMIN, "POST", "mlflow/users/create", json=body).status_code in {200, 400}


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[None]:
    """MLflow's accounts in a file, in this process."""
    auth.store.init_db(f"sqlite:///{tmp_path}/login.db")
    for user in (ADMIN, "ada", "grace", "stray", TRAINING):
        auth.store.create_user(user, "a long enough password", is_admin=user == ADMIN)
    yield
    auth.store.engine.dispose()


def policy(**people: str) -> Policy:
    return Policy.model_validate({"people": people})


def held(user: str) -> tuple[bool, list[str]]:
    account = auth.store.get_user(user)
    return account.is_admin, [role.name for role in auth.store.list_user_roles(account.id)]


@pytest.mark.filterwarnings("ignore:No path_separator found:DeprecationWarning")  # MLflow's own migrations
@pytest.mark.usefixtures("accounts")
def test_mlflows_roles_and_flags_follow_the_policy() -> None:
    keep_in_step(policy(ada="data_scientist", grace="reviewer"))
    assert held("ada") == (False, ["flywheel.data_scientist"])
    assert held("grace") == (False, ["flywheel.reviewer"])
    assert held("stray") == (False, ["flywheel.viewer"])
    assert held(TRAINING) == (False, [f"flywheel.{TRAINING}"])
    keep_in_step(policy(ada="administrator"))
    assert held("ada") == (True, ["flywheel.administrator"])
    assert held("grace") == (False, ["flywheel.viewer"])
    assert held(ADMIN) == (True, ["flywheel.administrator"])


@pytest.mark.filterwarnings("ignore:No path_separator found:DeprecationWarning")  # MLflow's own migrations
@pytest.mark.usefixtures("accounts")
def test_what_somebody_changed_by_hand_is_put_back() -> None:
    keep_in_step(policy(ada="data_scientist"))
    role = auth.store.get_role_by_name(DEFAULT_WORKSPACE_NAME, "flywheel.viewer")
    auth.store.add_role_permission(role.id, "registered_model", "*", "MANAGE")
    auth.store.assign_role_to_user(
        auth.store.get_user("stray").id,
        auth.store.get_role_by_name(DEFAULT_WORKSPACE_NAME, "flywheel.administrator").id,
    )
    auth.store.update_user("stray", is_admin=True)
    keep_in_step(policy(ada="data_scientist"))
    assert auth.store.list_role_permissions(role.id) == []
    assert held("stray") == (False, ["flywheel.viewer"])


@pytest.mark.filterwarnings("ignore:No path_separator found:DeprecationWarning")  # MLflow's own migrations
@pytest.mark.usefixtures("accounts")
def test_a_policy_holds_within_a_second_and_is_not_read_for_each_request() -> None:
    now, readings = [0.0], [0]
    current = [policy(ada="data_scientist")]

    def read() -> Policy:
        readings[0] += 1
        return current[0]

    book = RoleBook(read, lambda: now[0])
    assert [book.part("ada").name for _ in range(5)] == ["data_scientist"] * 5
    assert readings == [1]
    current[0] = policy(ada="viewer")
    now[0] += FRESH
    assert book.part("ada").name == "viewer"
    assert held("ada") == (False, ["flywheel.viewer"])
    assert FRESH < 1
