"""The leader's ledger on a trail of its own, which somebody with all rights over Postgres rewrites."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from deploy.loop.ledger import WHOLE_SECONDS, AwayError, PostgresLedger, Turns, leadership
from flywheel import events
from flywheel.errors import IntegrityError, TransientError
from flywheel.events import EVENTS, EventKind
from flywheel.settings import Settings
from flywheel.stack import postgres


@dataclass
class Trail:
    """A chain in a database of its own, a ledger on it, and a clock."""

    engine: sa.Engine
    ledger: PostgresLedger
    now: list[float]

    def add(self, kind: EventKind = EventKind.TRANSITION, subject: str = "m/1", **body: str) -> None:
        with self.engine.begin() as connection:
            events.append(connection, kind, subject, "grace", body)

    def rewrite(self, statement: str) -> None:
        """Change what cannot be changed, as a superuser who switches the triggers off."""
        with self.engine.begin() as connection:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            connection.execute(sa.text(statement))


@pytest.fixture(scope="module")
def database(stack: Settings) -> Iterator[sa.Engine]:
    ports = json.loads((stack.root / "run" / "ports.json").read_text())
    owner = json.loads((stack.root / "run" / "credentials.json").read_text())["postgres_owner"]
    url, name = postgres.owner_url(ports["postgres"], owner), f"ledger_{uuid.uuid4().hex[:8]}"
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine = sa.create_engine(url.set(database=name), poolclass=sa.NullPool)
    with engine.begin() as connection:
        events.install(connection, appenders=())
    yield engine
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name}"))
    server.dispose()


@pytest.fixture
def trail(database: sa.Engine) -> Iterator[Trail]:
    with database.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(EVENTS.delete())
        connection.execute(sa.text("UPDATE flywheel.chain_head SET seq = 0, hash = ''"))
    now = [0.0]
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        trail = Trail(database, PostgresLedger(connection, lambda: now[0]), now)
        for number in range(1, 6):
            trail.add(to="Production", version=str(number))
        yield trail


def test_a_reading_has_what_came_since_and_only_what_deploy_goes_by(trail: Trail) -> None:
    assert [event.seq for event in trail.ledger.read()] == [1, 2, 3, 4, 5]
    trail.add(EventKind.GATE_MEASURED)
    trail.add(EventKind.ROLLOUT_STARTED)
    trail.ledger.record(EventKind.ROLLOUT_STEP, "m/1", {"rollout": "r"})
    found = trail.ledger.read()
    assert [event.seq for event in found] == [1, 2, 3, 4, 5, 7, 8]
    assert found[-1].body == {"rollout": "r"}
    assert trail.ledger.read() == found


def test_a_tick_reads_the_new_events_alone(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    trail.ledger.read()
    trail.add()
    read: list[int] = []
    stock: Callable[..., list[events.Event]] = events.read_after

    def counted(connection: sa.Connection, seq: int, limit: int) -> list[events.Event]:
        found = stock(connection, seq, limit)
        read.extend(event.seq for event in found)
        return found

    monkeypatch.setattr(events, "read_after", counted)
    trail.ledger.read()
    assert sorted(set(read)) == [5, 6]  # the last known one is looked at again


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE flywheel.events SET actor = 'mallory' WHERE seq = 2",
        "DELETE FROM flywheel.events WHERE seq = 2",
        "UPDATE flywheel.events SET body = '{}' WHERE seq = 5",
    ],
)
def test_a_rewritten_past_is_found_by_the_next_check_of_the_whole(trail: Trail, statement: str) -> None:
    trail.ledger.read()
    trail.rewrite(statement)
    trail.now[0] = WHOLE_SECONDS + 1
    with pytest.raises(IntegrityError, match=r"event \d .*|rewritten"):
        trail.ledger.read()


def test_a_past_that_was_rewritten_with_right_hashes_is_found_too(trail: Trail) -> None:
    trail.ledger.read()
    with trail.engine.connect() as connection:
        found = events.read(connection)
    head, forged = events.GENESIS, []
    for event in found:
        body = {**event.body, "version": "99"} if event.seq == 3 else event.body
        made = events.chained(head, event.kind, event.subject, event.actor, body, datetime(2026, 1, 1, tzinfo=UTC))
        head = events.Head(made.seq, made.hash)
        forged.append({**vars(made), "kind": str(made.kind), "body": events.canonical(made.body)})
    trail.rewrite("DELETE FROM flywheel.events")
    with trail.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE flywheel.events ALTER COLUMN transaction DROP NOT NULL"))
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(EVENTS.insert(), forged)
        connection.execute(sa.text("UPDATE flywheel.chain_head SET hash = :hash"), {"hash": head.hash})
    with pytest.raises(IntegrityError, match="event 5 is not the one that was read before"):
        trail.ledger.read()
    trail.now[0] = WHOLE_SECONDS + 1
    with pytest.raises(IntegrityError, match="rewritten"):
        trail.ledger.read()


def test_a_shrunken_trail_is_found_at_once(trail: Trail) -> None:
    trail.ledger.read()
    trail.rewrite("DELETE FROM flywheel.events WHERE seq > 3")
    trail.rewrite("UPDATE flywheel.chain_head SET (seq, hash) = (SELECT seq, hash FROM flywheel.events WHERE seq = 3)")
    for later in (0.0, WHOLE_SECONDS + 1):
        trail.now[0] = later
        with pytest.raises(IntegrityError, match="event 4 was read before and is missing"):
            trail.ledger.read()


def test_after_a_fault_nothing_is_taken_as_read(trail: Trail) -> None:
    before = trail.ledger.read()
    trail.add()
    trail.rewrite("UPDATE flywheel.events SET actor = 'mallory' WHERE seq = 6")
    for _ in range(2):
        with pytest.raises(IntegrityError, match="event 6"):
            trail.ledger.read()
    trail.rewrite("UPDATE flywheel.events SET actor = 'grace' WHERE seq = 6")
    assert len(trail.ledger.read()) == len(before) + 1


def lose(ledger: PostgresLedger, database: sa.Engine) -> None:
    """End a ledger's session in Postgres, as a restart of the server does."""
    pid = ledger._connection.scalar(sa.text("SELECT pg_backend_pid()"))
    ledger._connection.rollback()
    with database.connect() as connection:
        assert connection.scalar(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_who_lost_the_connection_appends_nothing_and_leads_again_only_where_nobody_else_does(
    database: sa.Engine, trail: Trail
) -> None:
    body = {"rollout": "r"}
    with leadership(database) as first, leadership(database) as nobody:
        assert first is not None
        assert nobody is None
        first.read()
        lose(first, database)
        for _ in range(3):  # what was read before the loss may be out of date
            with pytest.raises(TransientError):
                first.record(EventKind.ROLLOUT_STEP, "m/1", body)
        with leadership(database) as second:
            assert second is not None
            second.record(EventKind.ROLLOUT_STEP, "m/1", body)
            for _ in range(2):
                with pytest.raises(TransientError, match="Another controller leads"):
                    first.read()
        assert [event.seq for event in first.read()] == [1, 2, 3, 4, 5, 6]
        first.record(EventKind.ROLLOUT_STEP, "m/1", body)
        with leadership(database) as third:
            assert third is None


def test_who_leads_by_turns_leaves_the_lock_to_others_in_between(trail: Trail) -> None:
    turns = Turns(trail.engine)
    with turns.turn() as first:
        assert first is not None
        with leadership(trail.engine) as other:
            assert other is None
    with leadership(trail.engine) as other:
        assert other is not None
        with turns.turn() as second:
            assert second is None
    with turns.turn() as third:
        assert third is first  # and what it has read is still known
    turns.close()


END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


def read_and_lose(trail: Trail, turns: Turns) -> None:
    """Read in a turn, lose all connections as a restart of Postgres does, and read again."""
    with turns.turn() as ledger:
        assert ledger is not None
        ledger.read()
        with trail.engine.begin() as connection:
            connection.execute(sa.text(END_OTHERS))
        ledger.read()


def test_a_turn_after_a_lost_connection_opens_another_one(trail: Trail) -> None:
    turns = Turns(trail.engine)
    with pytest.raises(AwayError, match="Postgres does not answer"):
        read_and_lose(trail, turns)
    with turns.turn() as again:
        assert again is not None
        again.read()
    with leadership(trail.engine) as other:
        assert other is not None
    turns.close()
