import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from flywheel.connections import secrets
from flywheel.errors import FlywheelError, StackError, UsageError
from flywheel.events import EventKind, append
from flywheel.identities import CONTROLLER, GATES
from flywheel.settings import Settings
from tests.registry.commands import run

if TYPE_CHECKING:
    from tests.registry.conftest import Server

pytestmark = pytest.mark.usefixtures("home")


def test_approving_moves_the_version_and_says_so_in_one_sentence(server: "Server", model: str) -> None:
    version = server.register(model)
    output = run("approve", model, version, "--user", "grace")
    assert output.startswith(f"Version {version} of '{model}' is in Production, approved by grace (sha256:")
    assert output.count("\n") == 1
    assert server.version(model, version)["current_stage"] == "Production"


def test_a_refusal_is_the_gates_sentence(server: "Server", model: str) -> None:
    version = server.register(model)
    with pytest.raises(FlywheelError, match="four eyes"):
        run("approve", model, version, "--user", "ada")


def test_a_model_that_does_not_exist_is_said(server: "Server") -> None:
    with pytest.raises(FlywheelError, match="There is no model 'nothing'"):
        run("approve", "nothing", "1", "--user", "grace")


def test_an_unknown_user_is_wrong_use(server: "Server", model: str) -> None:
    with pytest.raises(UsageError, match="not known here"):
        run("approve", model, "1", "--user", "nobody")


def test_a_home_without_a_stack_is_said(
    server: "Server", tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path_factory.mktemp("empty")))
    with pytest.raises(StackError, match="flywheel up"):
        run("audit", "verify")


def test_a_server_without_our_stack_is_audited_by_its_own_setting(
    server: "Server", stack: Settings, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path_factory.mktemp("empty")))
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", secrets(stack).databases["server"])
    assert run("audit", "verify").startswith("The audit trail is whole: ")


def test_the_trail_verifies_and_is_counted(server: "Server", model: str) -> None:
    server.register(model)
    assert run("audit", "verify").startswith("The audit trail is whole: ")


def test_an_event_is_one_line_however_long_its_reason(server: "Server", model: str, stack: Settings) -> None:
    body = {"rollout": "r", "reason": "It ended by itself. The end of its log:\nTraceback\nMemoryError"}
    engine = sa.create_engine(secrets(stack).databases["controller"])
    with engine.begin() as connection:
        append(connection, EventKind.ROLLOUT_HELD, f"{model}/1", CONTROLLER, body)
    engine.dispose()
    lines = run("audit", "log", "--model", model).splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("It ended by itself. The end of its log:")
    assert "MemoryError" in run("audit", "log", "--model", model, "--json")


def test_the_log_says_what_a_gate_found_and_what_a_reviewer_said(server: "Server", model: str, stack: Settings) -> None:
    with sa.create_engine(secrets(stack).databases["server"]).begin() as connection:
        found = {"gate": "size", "outcome": "pass", "sentence": "The package has 0.01 MB."}
        append(connection, EventKind.GATE_MEASURED, f"{model}/1", GATES, found)
        append(connection, EventKind.REVIEW_COMMENTED, f"{model}/1", "grace", {"comment": "Look at LGA."})
    lines = run("audit", "log", "--model", model).splitlines()
    assert lines[0].endswith("size  pass  The package has 0.01 MB.")
    assert lines[1].endswith("Look at LGA.")


def test_the_log_shows_one_models_events_for_people_and_machines(server: "Server", model: str) -> None:
    version = server.register(model)
    server.move("ada", model, version, "Production")
    lines = run("audit", "log", "--model", model).splitlines()
    assert [line.split()[3] for line in lines] == ["version.created", "version.signed", "transition.refused"]
    assert "None -> Production  Transition to Production refused" in lines[2]
    parsed = [json.loads(line) for line in run("audit", "log", "--model", model, "--json").splitlines()]
    assert [event["actor"] for event in parsed] == ["ada", "ada", "ada"]
