"""The registry's own process: one leads and others wait, it ends when told, and no kill loses an event."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from flywheel import events
from flywheel.errors import TransientError
from flywheel.events import EventKind
from flywheel.settings import Settings
from flywheel.stack import registry_service
from registry.hooks import deliveries
from registry.service import lead
from tests.registry.hooks.receiver import Receiver
from tests.registry.own_database import intrude, own_database, register

pytestmark = pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning")
IDLE_MB = 120


@pytest.fixture(scope="module")
def engine(stack: Settings) -> Iterator[sa.Engine]:
    with own_database(stack) as made:
        yield made


@contextmanager
def service(engine: sa.Engine, home: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    url = engine.url.render_as_string(hide_password=False)
    known = {"FLYWHEEL_HOME": str(home), "MLFLOW_BACKEND_STORE_URI": url, "FLYWHEEL_HOOKS": str(home / "hooks.yaml")}
    with (home / "registry.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "registry"], env={**os.environ, **known, **environment}, stderr=log, stdout=log
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def until(found: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.02)


def state(home: Path) -> str:
    try:
        return str(json.loads((home / "run" / "registry.json").read_text())["state"])
    except OSError:
        return ""


def say(engine: sa.Engine, count: int) -> list[int]:
    made = []
    for number in range(count):  # each in a transaction of its own
        with engine.begin() as connection:
            made.append(events.append(connection, EventKind.TRANSITION, "churn/1", "ada", {"n": number}).seq)
    return made


def lag(engine: sa.Engine, consumer: str) -> int | None:
    with engine.connect() as connection:
        found = deliveries.read_one(connection, consumer)
    return found.lag if found and found.active else None


def test_one_leads_a_second_waits_and_takes_over_when_the_first_is_killed(engine: sa.Engine, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with service(engine, first) as one, service(engine, second) as two:
        until(lambda: {state(first), state(second)} == {"leads", "waits"})
        (leader, led), (_, other) = sorted([(one, first), (two, second)], key=lambda pair: state(pair[1]))
        assert registry_service.answers(Settings(home=other)) is None
        leader.kill()
        leader.wait()
        assert registry_service.answers(Settings(home=led)) == "its process has ended"
        until(lambda: state(other) == "leads")


def test_it_is_light_and_ends_at_once_when_told(engine: sa.Engine, tmp_path: Path) -> None:
    with service(engine, tmp_path) as process:
        until(lambda: state(tmp_path) == "leads")
        status = Path(f"/proc/{process.pid}/status").read_text()
        kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        assert kilobytes < IDLE_MB * 1024
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=9) == 0
    assert "Traceback" not in (tmp_path / "registry.log").read_text()


def test_without_a_database_it_says_what_to_set(tmp_path: Path) -> None:
    known = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run([sys.executable, "-m", "registry"], env=known, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "set MLFLOW_BACKEND_STORE_URI" in done.stderr


def test_when_its_connections_are_cut_it_leads_again_and_still_guards_and_delivers(
    engine: sa.Engine, tmp_path: Path
) -> None:
    receiver = Receiver().start()
    (tmp_path / "hooks.yaml").write_text(f"webhooks: [{{name: cut, url: '{receiver.url}', events: [transition]}}]")
    with engine.begin() as connection:
        register(connection, "cut", 1)
    with service(engine, tmp_path):
        until(lambda: lag(engine, "cut") == 0)
        said = say(engine, 2)
        until(lambda: receiver.seqs() == said)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'flywheel-registry'"
            )
        said += say(engine, 2)
        until(lambda: list(dict.fromkeys(receiver.seqs())) == said)
        intrude(engine, "UPDATE model_versions SET current_stage = 'Production' WHERE name = 'cut'")
        stage = sa.text("SELECT current_stage FROM model_versions WHERE name = 'cut'")
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            until(lambda: connection.scalar(stage) == "None", 15)
        until(lambda: state(tmp_path) == "leads")
    receiver.stop()


def test_killed_between_commit_and_delivery_again_and_again_it_loses_no_event_and_keeps_their_order(
    engine: sa.Engine, tmp_path: Path
) -> None:
    running: list[subprocess.Popen[bytes]] = []

    def kill_sometimes(before: int) -> int:
        if before in {0, 3, 4}:  # the event has arrived, and the process never learns of it
            running[-1].kill()
        return 200

    receiver = Receiver(kill_sometimes).start()
    (tmp_path / "hooks.yaml").write_text(f"webhooks: [{{name: killed, url: '{receiver.url}', events: [transition]}}]")
    with service(engine, tmp_path) as process:
        running.append(process)
        until(lambda: lag(engine, "killed") == 0)
        process.kill()
        process.wait()
    said = say(engine, 6)  # committed while nobody is there to deliver
    for _ in range(4):
        with service(engine, tmp_path) as process:
            running.append(process)
            until(lambda: process.poll() is not None or lag(engine, "killed") == 0)
    came = receiver.seqs()
    assert list(dict.fromkeys(came)) == said
    assert came == sorted(came)
    assert len(came) == len(said) + 3
    ids = {got.seq: got.delivery for got in receiver.got}
    assert all(ids[got.seq] == got.delivery for got in receiver.got)
    receiver.stop()


def test_killed_while_it_tries_again_it_goes_on_with_the_same_event(engine: sa.Engine, tmp_path: Path) -> None:
    healthy = threading.Event()
    receiver = Receiver(lambda _: 200 if healthy.is_set() else 503).start()
    (tmp_path / "hooks.yaml").write_text(f"webhooks: [{{name: tried, url: '{receiver.url}', events: [transition]}}]")
    with service(engine, tmp_path):
        until(lambda: lag(engine, "tried") == 0)
        said = say(engine, 3)
        until(lambda: len(receiver.got) >= 2)
    assert set(receiver.seqs()) == {said[0]}
    healthy.set()
    with service(engine, tmp_path):
        until(lambda: lag(engine, "tried") == 0)
    assert list(dict.fromkeys(receiver.seqs())) == said
    receiver.stop()


class Counting:
    """A job that counts its runs and fails in its own way."""

    seconds = 0.01

    def __init__(self, name: str, fault: Exception | None = None) -> None:
        self.name = name
        self.runs = 0
        self._fault = fault

    def run(self) -> None:
        self.runs += 1
        if self._fault:
            raise self._fault


def test_a_job_that_fails_is_tried_again_shows_and_ends_no_other(engine: sa.Engine) -> None:
    jobs = [Counting("well"), Counting("down", TransientError("a part is down")), Counting("defect", ValueError("oh"))]
    stop, states = threading.Event(), []

    def beat(said: str) -> None:
        states.append(said)
        if all(job.runs > 5 for job in jobs) and len(states) > 1:
            stop.set()

    lead(engine, lambda _: jobs, stop, beat)
    assert states[-1] == "job down fails: a part is down; job defect fails: ValueError: oh"


def test_a_postgres_that_is_away_is_said_and_waited_for() -> None:
    nowhere = sa.create_engine("postgresql+psycopg2://a:b@127.0.0.1:1/c")
    stop, states = threading.Event(), []

    def beat(said: str) -> None:
        states.append(said)
        if len(states) == 2:
            stop.set()

    lead(nowhere, lambda _: [], stop, beat)
    assert all(said.startswith("Postgres does not answer: ") and "\n" not in said for said in states)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "not said yet"),
        ("no json", "not said yet"),
        (json.dumps({"pid": os.getpid(), "at": 0, "state": "leads"}), "last heard of"),
        (json.dumps({"pid": os.getpid(), "at": 9e12, "state": "job outbox fails: x"}), "job outbox fails: x"),
        (json.dumps({"pid": 2**22 + 1, "at": 9e12, "state": "leads"}), "has ended"),
    ],
)
def test_a_heart_that_does_not_beat_is_not_healthy(tmp_path: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "registry.json").write_text(content)
    assert reason in str(registry_service.answers(Settings(home=tmp_path)))
