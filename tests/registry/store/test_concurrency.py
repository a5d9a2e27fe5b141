"""Several processes with a store each, on one Postgres: what may happen happens, and nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flywheel import events
from flywheel.events import EventKind
from flywheel.identities import CONTROLLER
from flywheel.settings import Settings
from tests.registry.own_store import POLICY, OwnStore, own_store

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi:UserWarning"),
]

PROCESSES = 3
PEOPLE = {
    **{f"scientist-{number}": "data_scientist" for number in range(6)},
    **{f"reviewer-{number}": "reviewer" for number in range(6)},
    **{f"operator-{number}": "operator" for number in range(4)},
    **{f"viewer-{number}": "viewer" for number in range(4)},
}
ASKED = [(user, stage) for user in PEOPLE for stage in ("Production", "Archived", "Staging", "None", "Production")]


@pytest.fixture(scope="module")
def own(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStore]:
    people: dict[str, Any] = {**POLICY["people"], **PEOPLE}  # type: ignore[dict-item]
    with own_store(stack, tmp_path_factory.mktemp("own"), {**POLICY, "people": people}) as found:
        yield found


def process(own: OwnStore, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "FLYWHEEL_POLICY": str(own.folder.parent / "policy.yaml")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    environment["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = str(own.folder)
    command = [sys.executable, "-W", "ignore", "-m", "tests.registry.store.crowd", own.url, *words]
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        command, cwd=root, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def told(one: subprocess.Popen[str]) -> str:
    """Return the next line of a process."""
    assert one.stdout is not None
    return one.stdout.readline().strip()


def may(user: str, source: str, target: str) -> bool:
    """The oracle: who may move a version of ada's from one stage to another, by role alone."""
    role = PEOPLE[user]
    if target == "Production":
        return role == "reviewer"
    if source == "Production":
        return role in ("reviewer", "operator")
    return role != "viewer"


def test_of_a_hundred_moves_by_twenty_users_at_once_exactly_the_allowed_ones_happen(own: OwnStore) -> None:
    assert (len(ASKED), len(PEOPLE)) == (100, 20)
    model = own.model()
    version = own.register(model)
    with ExitStack() as stack:
        crowd = [stack.enter_context(process(own, model, version)) for _ in range(PROCESSES)]
        assert [told(one) for one in crowd] == ["started"] * PROCESSES
        for number, one in enumerate(crowd):
            assert one.stdin is not None
            one.stdin.write("\n".join(f"{user} {stage}" for user, stage in ASKED[number::PROCESSES]))
            one.stdin.close()
        happened = sum(told(one).count("1") for one in crowd)

    stage, allowed = "None", 0
    judged = [event for event in own.events(model) if event.kind != EventKind.VERSION_CREATED]
    assert sorted((event.actor, event.body["to"]) for event in judged) == sorted(ASKED)
    for event in judged:
        assert event.body["from"] == stage
        assert (event.kind == EventKind.TRANSITION) == may(event.actor, stage, event.body["to"]), event
        if event.kind == EventKind.TRANSITION:
            stage, allowed = event.body["to"], allowed + 1
    assert own.store.get_model_version(model, version).current_stage == stage
    assert happened == allowed
    own.verify()


def test_a_process_that_is_killed_before_its_commit_leaves_neither_stage_nor_event(own: OwnStore) -> None:
    model = own.model()
    version = own.register(model)
    with process(own, model, version, "--die") as victim:
        assert victim.wait(60) == -signal.SIGKILL
    assert [event.kind for event in own.events(model)] == [EventKind.VERSION_CREATED]
    assert own.store.get_model_version(model, version).current_stage == "None"
    assert own.move("ada", model, version, "Staging") == ""
    own.verify()


def test_among_ten_thousand_versions_a_move_reads_the_events_of_its_own(own: OwnStore) -> None:
    model = own.model()
    version, read = own.register(model), list[int]()
    _crowd_the_trail(own, model)

    def counted(*arguments: Any, **more: Any) -> list[events.Event]:
        found = stock(*arguments, **more)
        read.append(len(found))
        return found

    stock = events.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "read", counted)
        began = time.perf_counter()
        assert own.move("grace", model, version) == ""
        took = time.perf_counter() - began
        assert own.move(CONTROLLER, model, version, "Archived") == ""
    assert sum(read) < 50
    assert took < 5  # seconds; a noisy machine's bound, where reading all takes minutes


def _crowd_the_trail(own: OwnStore, model: str) -> None:
    """Put 10,000 versions of the same model into the registry, each with its event."""
    with own.store.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO model_versions (name, version, creation_time, current_stage, source, storage_location) "
                "SELECT :name, number, 0, 'None', 'x', 'x' FROM generate_series(1000, 10999) AS number"
            ),
            {"name": model},
        )
        head, rows = events.lock_head(connection), []
        for number in range(1000, 11000):
            body = {"model": model, "version": str(number), "author": "ada"}
            made = events.chained(head, EventKind.VERSION_CREATED, f"{model}/{number}", "ada", body, datetime.now(UTC))
            head = events.Head(made.seq, made.hash)
            rows.append({**vars(made), "kind": str(made.kind), "body": events.canonical(body)})
        connection.execute(events.EVENTS.insert(), rows)
