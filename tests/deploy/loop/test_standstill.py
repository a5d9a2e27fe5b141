"""A Postgres that stands still, as one that is stopped or swapped out does: no connection breaks, nothing answers."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from deploy.loop.controller import Controller
from deploy.loop.emergency import Emergency
from deploy.loop.fold import histories
from deploy.loop.journal import Journal
from deploy.loop.ledger import AwayError, PostgresLedger, Turns, open_ledger, read_trail
from deploy.loop.resident import Resident
from deploy.loop.rollout import Phase, Rollout
from flywheel import database, events
from flywheel.events import Event, EventKind
from flywheel.rollbacks import Cause
from flywheel.settings import Settings
from tests.deploy.conftest import wait_for
from tests.deploy.simulated import FLIGHTS, SimulatedRegistry, SimulatedTarget, World
from tests.training.database import Database

WITHIN = 30.0  # seconds from the standstill until harm is ended


@pytest.fixture(scope="module")
def postgres() -> Iterator[Database]:
    made = Database()
    yield made
    made.close()


@contextmanager
def standing_still(one: Database) -> Iterator[None]:
    """Stop every process of a Postgres that this test has started, and let them go on."""
    processes = [one.pid, *children_of(one.pid)]
    send(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        send(processes, signal.SIGCONT)


def send(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):  # a child whose client has gone
            os.kill(process, number)


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Chained(World):
    """A world whose events are in Postgres."""

    engine: sa.Engine

    def append(self, kind: EventKind, subject: str, actor: str, body: Mapping[str, Any]) -> None:
        with self.engine.begin() as connection:
            events.append(connection, kind, subject, actor, body)

    def trail(self) -> list[Event]:
        with self.engine.connect() as connection:
            return events.read(connection)


@pytest.fixture
def world(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chained]:
    made = Chained()
    made.engine = sa.create_engine(postgres.url, poolclass=sa.NullPool)
    with made.engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA IF EXISTS flywheel CASCADE"))
        events.install(connection, appenders=())
    monkeypatch.setattr(database, "secrets", lambda _: SimpleNamespace(databases={"controller": postgres.url}))
    yield made
    made.engine.dispose()


@pytest.fixture
def resident(world: Chained, tmp_path: Path) -> Iterator[Resident]:
    registry, target, journal = SimulatedRegistry(world), SimulatedTarget(world), Journal(tmp_path / "rollouts")

    def now() -> datetime:
        return datetime.now(UTC)

    def make(ledger: PostgresLedger) -> Controller:
        return Controller(ledger, registry, target, journal, now)

    with open_ledger(Settings()) as engine:
        turns = Turns(engine)
        yield Resident(turns, make, Emergency(journal, target, now), tmp_path / "controller.prom")
        turns.close()


def passes(world: Chained, resident: Resident, is_so: Callable[[], bool], *, errors: int = 0) -> Callable[[], bool]:
    """Return what makes a pass, lets requests come, and says whether something has come true."""

    def step() -> bool:
        resident.step()
        world.traffic(1000, errors)
        return is_so()

    return step


def test_harm_ends_while_postgres_stands_still_and_the_record_goes_on_after_it(
    postgres: Database, world: Chained, resident: Resident, tmp_path: Path
) -> None:
    world.approve("1")
    wait_for(passes(world, resident, lambda: world.aliases == {"champion": "1"}), "the first version")
    world.approve("2")
    journal = Journal(tmp_path / "rollouts")
    wait_for(passes(world, resident, lambda: any(map(journal.read, journal.open_ones()))), "the first look")
    with standing_still(postgres):
        back = passes(world, resident, lambda: world.routed is not None and world.routed.percent == 0, errors=50)
        wait_for(back, "the way back", WITHIN)
    ended = passes(world, resident, lambda: last(world).phase is Phase.ROLLED_BACK)
    wait_for(ended, "the record")
    assert (last(world).cause, last(world).new.version, world.stages["2"]) == (Cause.VERDICT, "2", "Archived")
    assert [share.percent for share in world.shares] == [0, 10, 0]


def last(world: Chained) -> Rollout:
    return histories(world.trail())[FLIGHTS].rollouts[-1]


def test_whoever_only_looks_is_told_that_postgres_is_away(
    postgres: Database, world: Chained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database.PATIENCE, "connect_timeout", 2)
    with standing_still(postgres), pytest.raises(AwayError, match="Postgres does not answer"):
        read_trail(Settings())
    assert read_trail(Settings()) == world.trail()


def test_a_lock_that_somebody_holds_is_waited_for_and_the_connection_lives(world: Chained) -> None:
    with open_ledger(Settings()) as engine, engine.connect() as connection:
        ledger = PostgresLedger(connection)
        with world.engine.begin() as holder:
            events.lock_head(holder)
            with pytest.raises(AwayError):
                ledger.record(EventKind.ROLLOUT_STEP, f"{FLIGHTS}/1", {})
        assert not connection.invalidated
        ledger.record(EventKind.ROLLOUT_STEP, f"{FLIGHTS}/1", {})
    assert len(world.trail()) == 1


def test_what_a_client_that_vanished_leaves_behind_ends_soon(world: Chained) -> None:
    with open_ledger(Settings()) as engine, engine.connect() as connection:
        shown = [connection.scalar(sa.text(f"SHOW {name}")) for name in ("tcp_keepalives_idle", "statement_timeout")]
    assert shown == ["10", "6s"]
