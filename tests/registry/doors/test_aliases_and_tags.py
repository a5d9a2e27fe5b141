"""Aliases of traffic and tags of the server, by both names of the interface and in look-alike letters."""

from itertools import product
from typing import TYPE_CHECKING

import pytest

from flywheel.identities import CONTROLLER
from tests.registry.doors.conftest import ADMINISTRATOR, AUTHOR, EVERYBODY, REVIEWER, STRANGER, approve

if TYPE_CHECKING:
    from tests.registry.conftest import Server

TWINS = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")


@pytest.mark.parametrize("alias", ["champion", "CHALLENGER", "ｃhampion", "champion\u200b"])
def test_only_the_controller_moves_or_removes_an_alias_of_traffic(server: "Server", model: str, alias: str) -> None:
    version = server.register(model, AUTHOR)
    body = {"name": model, "alias": alias, "version": version}
    for user, twin, method in product(EVERYBODY, TWINS, ("POST", "DELETE")):
        answer = server.call(user, method, f"{twin}/registered-models/alias", json=body)
        assert answer.status_code in ({401} if user is STRANGER else {400, 403}), answer.text
        if answer.status_code == 403 and method == "POST":
            assert CONTROLLER in answer.json()["message"]
    assert server.version(model, version).get("aliases", []) == []


def test_the_controller_may_and_others_move_aliases_of_their_own(server: "Server", model: str) -> None:
    version = server.register(model, AUTHOR)
    approve(server, model, version)
    for user, alias in [
        (CONTROLLER, "champion"),
        (AUTHOR, "nightly"),
        (REVIEWER, "looked-at"),
        (ADMINISTRATOR, "kept"),
    ]:
        server.made(user, "registered-models/alias", name=model, alias=alias, version=version)
    held = server.version(model, version)["aliases"]
    assert set(held) == {"champion", "nightly", "looked-at", "kept"}
    gone = {"name": model, "alias": "champion"}
    assert server.call(CONTROLLER, "DELETE", "mlflow/registered-models/alias", json=gone).status_code == 200


@pytest.mark.parametrize("alias", ["champion", "ｃhallenger"])
def test_traffic_goes_to_no_version_that_never_reached_production(server: "Server", model: str, alias: str) -> None:
    live, waiting = server.register(model, AUTHOR), server.register(model, AUTHOR)
    approve(server, model, live, then_archive=True)
    body = {"name": model, "alias": alias}
    refused = server.post(CONTROLLER, "registered-models/alias", **body, version=waiting)
    assert refused.status_code in {400, 403}, refused.text  # 400: MLflow knows no such letter
    if alias == "champion":
        assert f"version {waiting} never reached Production" in refused.json()["message"]
        server.made(CONTROLLER, "registered-models/alias", **body, version=live)


@pytest.mark.parametrize("key", ["flywheel.digest", "ｆlywheel.Author"])
def test_nobody_sets_or_deletes_a_tag_of_the_server(server: "Server", model: str, key: str) -> None:
    version = server.register(model, AUTHOR)
    before = server.version(model, version)["tags"]
    one = {"name": model, "version": version, "key": key, "value": "forged"}
    of_model = {"name": model, "key": key, "value": "forged"}
    doors = [
        ("POST", "model-versions/set-tag", one),
        ("DELETE", "model-versions/delete-tag", one),
        ("POST", "registered-models/set-tag", of_model),
        ("DELETE", "registered-models/delete-tag", of_model),
    ]
    for user, twin, (method, path, body) in product((*EVERYBODY, CONTROLLER), TWINS, doors):
        answer = server.call(user, method, f"{twin}/{path}", json=body)
        assert answer.status_code in ({401} if user is STRANGER else {400, 403}), answer.text
        if answer.status_code == 403 and method == "POST":
            assert "set by the server alone" in answer.json()["message"]
    assert server.version(model, version)["tags"] == before


def test_other_tags_are_free(server: "Server", model: str) -> None:
    version = server.register(model, AUTHOR)
    one = {"name": model, "version": version, "key": "note", "value": "mine"}
    for user in (AUTHOR, REVIEWER, ADMINISTRATOR):
        assert server.post(user, "model-versions/set-tag", **one).status_code == 200
    assert server.call(AUTHOR, "DELETE", "mlflow/model-versions/delete-tag", json=one).status_code == 200


@pytest.mark.parametrize("key", ["flywheel.author", "Flywheel.x"])
def test_a_model_is_made_without_the_servers_tags(server: "Server", key: str, model: str) -> None:
    name = f"{model}-tagged"
    server.made(AUTHOR, "registered-models/create", name=name, tags=[{"key": key, "value": "x"}])
    found = server.call(AUTHOR, "GET", f"mlflow/registered-models/get?name={name}").json()["registered_model"]
    assert found.get("tags", []) == []


def test_prompts_pass_the_same_gate(server: "Server", model: str) -> None:
    """MLflow keeps prompts as registered models: their versions, aliases and tags go through the same doors."""
    name, marks = f"{model}-prompt", [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    server.made(AUTHOR, "registered-models/create", name=name, tags=marks)
    text = [*marks, {"key": "mlflow.prompt.text", "value": "Say {{it}}"}, {"key": "flywheel.author", "value": "grace"}]
    made = server.made(AUTHOR, "model-versions/create", name=name, source="dummy-source", tags=text)["model_version"]
    assert server.version(name, made["version"])["tags"]["flywheel.author"] == AUTHOR
    body = {"name": name, "alias": "champion", "version": made["version"]}
    assert server.post(AUTHOR, "registered-models/alias", **body).status_code == 403
    assert server.move(REVIEWER, name, made["version"], "Production").status_code in {400, 403}
