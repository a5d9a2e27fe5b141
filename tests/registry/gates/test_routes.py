"""The routes and commands of gates, against the real server."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flywheel.errors import StackError, UsageError
from flywheel.events import EventKind
from registry.gates.job import Subject, alone
from registry.gates.table import lines, summary
from tests.registry.commands import call
from tests.registry.conftest import Server
from tests.registry.gates.folders import spoiled
from tests.registry.gates.service import job, only, register

GATES = "/flywheel/api/gates"


def say(server: Server, user: str | None, model: str, version: str, **body: Any) -> Any:
    return server.call(user, "POST", f"{GATES}/{model}/{version}", json=body)


@pytest.fixture
def gated(server: Server) -> str:
    """A model of which the shared stack's policy requires size and card."""
    return server.model(prefix="gated")


def test_a_new_version_waits_for_what_the_policy_requires(server: Server, gated: str) -> None:
    version = server.register(gated)
    state = server.call("vic", "GET", f"{GATES}/{gated}/{version}").json()
    assert (state["waiting"], state["left"], state["evidence"]) == (True, ["size", "card"], [])


def test_asking_again_is_an_event_and_names_who_asked(server: Server, model: str) -> None:
    version = server.register(model)
    answer = say(server, "ada", model, version, gates="skew, onnx")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["left"]) == {"skew", "onnx"}
    (event,) = server.events(model, EventKind.GATES_REQUESTED)
    assert (event.actor, event.body["gates"]) == ("ada", ["skew", "onnx"])


def test_what_waits_already_is_not_asked_for_again(server: Server, model: str) -> None:
    version = server.register(model)
    for _ in range(10):
        assert say(server, "ada", model, version, gates="skew, onnx").status_code == 200
    # A service may measure meanwhile, after which a question is a new one.
    assert len(server.events(model, EventKind.GATES_REQUESTED)) < 4


@pytest.mark.parametrize(
    ("user", "status", "said"),
    [
        ("vic", 403, "'vic' is a viewer"),
        ("olga", 403, "'olga' may not ask for them. Who may: ada, alan, grace."),
        (None, 401, ""),
    ],
)
def test_who_may_not_ask_is_told_who_may(server: Server, model: str, user: str | None, status: int, said: str) -> None:
    version = server.register(model)
    answer = say(server, user, model, version)
    assert answer.status_code == status
    assert said in answer.text
    assert server.events(model, EventKind.GATES_REQUESTED) == []


def test_bad_input_is_one_sentence(server: Server, model: str) -> None:
    version = server.register(model)
    unknown = say(server, "ada", model, version, gates="beauty")
    assert unknown.status_code == 400
    assert "There is no gate 'beauty'. Gates:" in unknown.json()["message"]
    assert say(server, "ada", model, version, gates=["size"]).status_code == 400
    assert say(server, "ada", model, version, speed="high").status_code == 400
    assert say(server, "ada", model, "99").status_code == 404
    assert server.call("ada", "GET", f"{GATES}/no-such-model/1").status_code in (403, 404)
    assert server.call("ada", "GET", f"{GATES}/{model}/one").status_code in (400, 404)
    assert server.events(model, EventKind.GATES_REQUESTED) == []


@pytest.fixture
def working(engine: sa.Engine, model: str) -> Iterator[None]:
    """The registry's process beside the server, which runs the gates that are asked for."""
    stop = threading.Event()

    def work() -> None:
        made = only(engine, job(engine, ()), model)
        while not stop.wait(0.2):
            made.run()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("home", "working")
def test_running_gates_waits_and_prints_a_table(server: Server, model: str, package: Path) -> None:
    version = register(server, model, package)
    done = call("gates", "run", model, version, "--gate", "size", "--gate", "card", "--user", "ada", "--timeout", "60")
    assert done.exit_code == 0, done.output
    assert "pass           size" in done.output
    assert "2 of 2 gates passed." in done.output
    shown = call("gates", "show", model, version, "--json", "--user", "grace")
    state = json.loads(shown.stdout)
    assert state["waiting"] is False
    assert {one["gate"]: one["outcome"] for one in state["evidence"]} == {"size": "pass", "card": "pass"}


@pytest.mark.usefixtures("home", "working")
def test_a_gate_that_fails_ends_the_command_with_1(server: Server, model: str, package: Path, tmp_path: Path) -> None:
    version = register(server, model, spoiled(package, tmp_path, card_md=lambda text: "# Nothing"))
    done = call("gates", "run", model, version, "--gate", "card", "--user", "ada", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout.splitlines()[-1])["evidence"][0]["outcome"] == "fail"


@pytest.mark.usefixtures("home")
def test_gates_that_do_not_end_are_said_in_time(server: Server, engine: sa.Engine, model: str) -> None:
    version = server.register(model)
    with alone(engine, Subject(model, version, location="")):  # so the stack's own process has to wait
        with pytest.raises(StackError, match="did not end within 1 s"):
            call("gates", "run", model, version, "--gate", "latency", "--user", "ada", "--timeout", "1")
        assert "Still to be measured: latency" in call("gates", "show", model, version, "--user", "ada").output


def test_a_folder_is_measured_without_a_server(package: Path, tmp_path: Path) -> None:
    done = call("gates", "measure", str(package), "--gate", "size", "--gate", "metrics", "--json")
    assert done.exit_code == 0, done.output
    assert [one["gate"] for one in json.loads(done.stdout)["evidence"]] == ["size", "metrics"]
    policy = tmp_path / "policy.yaml"
    policy.write_text("gates: {required: [size], limits: {size_mb: 0.001}}\n")
    failed = call("gates", "measure", str(package), "--policy", str(policy))
    assert failed.exit_code == 1
    assert "FAIL           size" in failed.output


def test_what_is_no_model_or_no_gate_is_wrong_use(package: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no MLflow model"):
        call("gates", "measure", str(tmp_path))
    with pytest.raises(UsageError, match="There is no gate 'beauty'"):
        call("gates", "measure", str(package), "--gate", "beauty")


def test_the_table_shows_number_interval_and_limit() -> None:
    one = {
        "gate": "latency", "outcome": "could_not_run", "sentence": "Slow.", "value": 12.5, "limit": 10.0,
        "unit": "ms", "low": 11.0, "high": 14.25,
    }  # fmt: skip
    assert lines([one])[0] == "could not run  latency        12.5 (11 to 14.25) ms, limit 10"
    assert summary([one]) == "0 of 1 gates passed, 1 could not run."
