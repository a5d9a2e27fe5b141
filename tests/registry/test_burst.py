"""Work that comes in bursts: a process is there while there is some, and not otherwise."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from flywheel import events
from flywheel.errors import TransientError
from flywheel.events import EventKind
from flywheel.settings import Settings
from registry.burst import Burst, run_until
from tests.registry.own_database import own_database

pytestmark = pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning")
KINDS = (EventKind.VERSION_CREATED, EventKind.GATES_REQUESTED)


@pytest.fixture(scope="module")
def engine(stack: Settings) -> Iterator[sa.Engine]:
    with own_database(stack) as made:
        yield made


def say(engine: sa.Engine, kind: EventKind) -> None:
    with engine.begin() as connection:
        events.append(connection, kind, "churn/1", "ada", {})


def burst(engine: sa.Engine, file: Path, code: int = 0) -> Burst:
    script = f"import pathlib, sys; pathlib.Path({str(file)!r}).open('a').write('x'); sys.exit({code})"
    return Burst("gates", engine, KINDS, [sys.executable, "-c", script], threading.Event())


def test_the_process_runs_once_for_each_burst_of_new_work(engine: sa.Engine, tmp_path: Path) -> None:
    job = burst(engine, tmp_path / "runs")
    say(engine, EventKind.VERSION_CREATED)
    say(engine, EventKind.VERSION_CREATED)
    job.run()
    job.run()
    say(engine, EventKind.TRANSITION)  # no work of this job's
    job.run()
    assert (tmp_path / "runs").read_text() == "x"
    say(engine, EventKind.GATES_REQUESTED)
    job.run()
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_process_that_fails_is_started_again(engine: sa.Engine, tmp_path: Path) -> None:
    say(engine, EventKind.VERSION_CREATED)
    job = burst(engine, tmp_path / "runs", code=3)
    for _ in range(2):
        with pytest.raises(TransientError, match="job gates ended with 3"):
            job.run()
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_process_is_ended_with_the_job_even_when_it_does_not_listen(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_DFL); time.sleep(60)"
    began = time.monotonic()
    assert run_until([sys.executable, "-c", script], lambda: True, look_seconds=0.01) == -15
    assert time.monotonic() - began < 10
