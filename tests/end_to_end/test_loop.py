"""The whole loop on a slice of the flights, with real Postgres, S3, MLflow, Envoy, agents and scorers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from flywheel.connections import secrets
from flywheel.events import Event, EventKind, read, read_head, verify
from flywheel.limits import BUILT_IN
from flywheel.settings import Settings

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


def run(home: Path, *command: str, timeout: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FLYWHEEL_HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("loop") / "home"
    yield folder
    run(folder, "flywheel", "down", "--erase", timeout=120)


@pytest.fixture(scope="module")
def told(home: Path) -> dict[str, Any]:
    """Play the demo's short form once; every test looks at what it left."""
    file = home.parent / "demo.json"
    result = run(home, "flywheel", "demo", "--small", "--json", str(file), timeout=580)
    assert file.exists(), f"{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    document: dict[str, Any] = orjson.loads(file.read_bytes())
    return document


@pytest.mark.timeout(600)
def test_every_goal_of_the_slice_is_met(told: dict[str, Any]) -> None:
    unmet = [goal for goal in told["goals"] if not goal["met"]]
    assert unmet == []


def test_monitoring_saw_harm_and_quiet_and_retrained_once_or_twice(told: dict[str, Any]) -> None:
    verdicts = [row["verdict"] for row in told["rows"]]
    assert verdicts[0] == "harm"
    assert "quiet" in verdicts
    assert told["rows"][0]["retrained_version"] == "2"


def test_the_chain_of_events_is_whole_and_tells_the_story_in_order(home: Path, told: dict[str, Any]) -> None:
    assert told
    engine = sa.create_engine(secrets(Settings(home=home)).databases["reader"], poolclass=sa.NullPool)
    with engine.connect() as connection:
        events = read(connection)
        verify(events, read_head(connection))
    first = [event for event in events if event.subject == "flights-delay/1"]
    gates = {event.body["gate"]: event.body["outcome"] for event in first if event.kind == EventKind.GATE_MEASURED}
    assert gates == dict.fromkeys(BUILT_IN, "pass")
    rest = [event.kind for event in first if event.kind != EventKind.GATE_MEASURED]
    assert rest[:2] == [EventKind.VERSION_CREATED, EventKind.VERSION_SIGNED]
    assert rest[2:4] == [EventKind.TRANSITION_REFUSED, EventKind.TRANSITION]
    # Whether a gate sees what is wrong with the bad version depends on the days in its sample; past one that does
    # nobody gets without an override.
    seen = {event.subject for event in events if event.kind == EventKind.GATE_MEASURED and _failed(event)}
    assert seen <= {"flights-delay/3"}
    assert {event.subject for event in events if event.kind == EventKind.OVERRIDDEN} == seen
    assert {event.subject for event in events if event.kind == EventKind.ROLLOUT_ROLLED_BACK} == {"flights-delay/3"}


def _failed(event: Event) -> bool:
    return bool(event.body["outcome"] != "pass")


def test_after_down_nothing_of_it_runs(home: Path, told: dict[str, Any]) -> None:
    assert told
    result = run(home, "flywheel", "down", timeout=120)
    assert result.returncode == 0, result.stderr
    marker = str(home).encode()
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (process / "environ").read_bytes() or marker in (process / "cmdline").read_bytes():
                left.append((process / "cmdline").read_bytes())
        except OSError:
            continue  # it ended meanwhile
    ours = [line for line in left if b"pytest" not in line]
    assert ours == []
