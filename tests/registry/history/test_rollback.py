"""Rollback on the real server: one command to the last good version, and never to one that is not."""

import requests
import sqlalchemy as sa

from flywheel.connections import secrets
from flywheel.events import EventKind, append
from flywheel.identities import CONTROLLER
from flywheel.settings import Settings
from tests.registry.conftest import Server


def back(server: Server, user: str | None, model: str, **body: str) -> requests.Response:
    return server.call(user, "POST", f"/flywheel/api/rollback/{model}", json=body)


def promote(server: Server, model: str, version: str) -> None:
    """Do what a reviewer and the controller do: approve, point the alias, archive the others."""
    assert server.move("grace", model, version, "Production").status_code == 200
    alias = {"name": model, "alias": "champion", "version": version}
    assert server.post(CONTROLLER, "registered-models/alias", **alias).status_code == 200
    for other in range(1, int(version)):
        if server.version(model, str(other))["current_stage"] == "Production":
            assert server.move(CONTROLLER, model, str(other), "Archived").status_code == 200


def champions(server: Server, model: str, count: int) -> None:
    for _ in range(count):
        promote(server, model, server.register(model))


def stages(server: Server, model: str, count: int) -> list[str]:
    return [server.version(model, str(number + 1))["current_stage"] for number in range(count)]


def test_a_rollback_brings_the_champion_before_back_and_archives_the_present_one(server: Server, model: str) -> None:
    champions(server, model, 3)
    approved = server.version(model, "2")["tags"]["flywheel.digest"]
    answer = back(server, "grace", model, reason="it misses late flights")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"model": model, "version": "2", "digest": approved, "archived": ["3"]}
    assert stages(server, model, 3) == ["Archived", "Production", "Archived"]
    left, returned = server.events(model, EventKind.TRANSITION)[-2:]
    assert (left.subject, left.body["to"]) == (f"{model}/3", "Archived")
    assert "it misses late flights" in left.body["reason"]
    assert (returned.subject, returned.actor, returned.body["rollback"]) == (f"{model}/2", "grace", True)
    assert returned.body["digest"] == approved
    server.trail_is_whole()


def test_a_named_former_champion_is_gone_back_to_and_no_other_version(server: Server, model: str) -> None:
    champions(server, model, 2)
    never = server.register(model)
    refused = back(server, "grace", model, to=never)
    assert refused.status_code == 409
    assert "was never champion" in refused.json()["message"]
    assert "has no version 99" in back(server, "grace", model, to="99").json()["message"]
    promote(server, model, never)
    assert back(server, "grace", model, to="1").json()["version"] == "1"
    assert stages(server, model, 3) == ["Production", "Archived", "Archived"]


def test_a_second_rollback_goes_further_back_and_never_to_what_was_left(server: Server, model: str) -> None:
    champions(server, model, 3)
    assert back(server, "grace", model).json()["version"] == "2"
    alias = {"name": model, "alias": "champion", "version": "2"}
    assert server.post(CONTROLLER, "registered-models/alias", **alias).status_code == 200
    refused = back(server, "grace", model, to="3")
    assert refused.status_code == 409
    assert "was rolled back from" in refused.json()["message"]
    assert back(server, "grace", model).json()["version"] == "1"
    assert stages(server, model, 3) == ["Production", "Archived", "Archived"]


def test_a_version_that_failed_in_a_rollout_is_passed_over(server: Server, model: str, stack: Settings) -> None:
    champions(server, model, 3)
    engine = sa.create_engine(secrets(stack).databases["controller"])
    body = {"rollout": f"{model}-2", "cause": "verdict", "state": "done", "reason": "It failed more often."}
    with engine.begin() as connection:
        append(connection, EventKind.ROLLOUT_ROLLED_BACK, f"{model}/2", CONTROLLER, body)
    engine.dispose()
    refused = back(server, "grace", model, to="2")
    assert refused.status_code == 409
    assert "failed in a rollout (It failed more often)" in refused.json()["message"]
    assert back(server, "grace", model).json()["version"] == "1"


def test_while_a_newer_version_is_on_its_way_a_rollback_ends_that(server: Server, model: str) -> None:
    champions(server, model, 2)
    coming = server.register(model)
    assert server.move("grace", model, coming, "Production").status_code == 200
    assert back(server, CONTROLLER, model).json() == {
        "model": model,
        "version": "2",
        "digest": server.version(model, "2")["tags"]["flywheel.digest"],
        "archived": ["3"],
    }
    assert stages(server, model, 3) == ["Archived", "Production", "Archived"]


def test_while_the_one_before_is_kept_warm_a_rollback_brings_it_back(server: Server, model: str) -> None:
    champions(server, model, 1)
    assert server.move("grace", model, server.register(model), "Production").status_code == 200
    alias = {"name": model, "alias": "champion", "version": "2"}
    assert server.post(CONTROLLER, "registered-models/alias", **alias).status_code == 200
    assert stages(server, model, 2) == ["Production", "Production"]  # the old one, until the bake ends
    answer = back(server, "grace", model, reason="fog is missed").json()
    assert (answer["version"], answer["archived"]) == ("1", ["2"])
    assert stages(server, model, 2) == ["Production", "Archived"]


def test_changed_bytes_are_refused_and_nothing_moves(server: Server, model: str, stack: Settings) -> None:
    champions(server, model, 2)
    location = server.version(model, "1")["source"].removeprefix("mlflow-artifacts:/")
    # Past the server's locks, as somebody with the bucket could.
    stored = next(stack.root.glob(f"**/{location.strip('/')}/MLmodel"))
    stored.write_text("something else")
    refused = back(server, "grace", model)
    assert refused.status_code == 409
    assert "not those that were approved" in refused.json()["message"]
    assert stages(server, model, 2) == ["Archived", "Production"]
    assert server.events(model)[-1].kind == EventKind.TRANSITION_REFUSED


def test_only_who_may_operate_rolls_back(server: Server, model: str) -> None:
    champions(server, model, 2)
    refused = back(server, "ada", model)
    assert refused.status_code == 403
    assert "'ada' is no operator or reviewer" in refused.json()["message"]
    assert back(server, None, model).status_code == 401
    assert stages(server, model, 2) == ["Archived", "Production"]


def test_without_a_former_champion_a_sentence_says_so(server: Server, model: str) -> None:
    assert "no version to go back to" in back(server, "grace", model).json()["message"]
    champions(server, model, 1)
    refused = back(server, "grace", model)
    assert refused.status_code == 409
    assert "no version was champion before it" in refused.json()["message"]
    missing = back(server, "grace", "no-such-model")
    assert missing.status_code == 404
    assert "no-such-model" in missing.json()["message"]


def test_a_rollback_needs_no_controller(server: Server, model: str) -> None:
    for _ in range(2):
        assert server.move("grace", model, server.register(model), "Production").status_code == 200
    assert back(server, "grace", model).json()["version"] == "1"
    assert stages(server, model, 2) == ["Production", "Archived"]
