"""How far each consumer has come in the chain: one row a consumer in `flywheel.deliveries`.

The chain itself is the outbox: events join it under a lock, so that their numbers have no gaps and are the order of
their commits. All that is kept here is a place in it, and what stands in the way of the next step.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from flywheel.locks import AdvisoryLock

LOCK = AdvisoryLock.DELIVERIES.value
SCHEMA = """
CREATE TABLE IF NOT EXISTS flywheel.deliveries (
    consumer text PRIMARY KEY,
    kind text NOT NULL,
    target text NOT NULL,
    events text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    delivered bigint NOT NULL,
    waiting bigint,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt timestamptz,
    fault text,
    test_asked uuid,
    test_answered uuid,
    test_fault text
);
"""
ENROL = sa.text(
    "INSERT INTO flywheel.deliveries (consumer, kind, target, events, delivered) "
    "SELECT :consumer, :kind, :target, :events, seq FROM flywheel.chain_head "
    "ON CONFLICT (consumer) DO UPDATE SET kind = :kind, target = :target, events = :events, active = true"
)
DUE = sa.text(
    "SELECT consumer FROM flywheel.deliveries, flywheel.chain_head WHERE active AND ("
    "  (delivered < seq AND (next_attempt IS NULL OR next_attempt <= now()))"
    "  OR test_asked IS DISTINCT FROM test_answered)"
)
ALL = sa.text(
    "SELECT d.consumer, d.kind, d.target, d.events, d.active, d.delivered, d.waiting, d.attempts, d.next_attempt, "
    "d.fault, h.seq - d.delivered AS lag FROM flywheel.deliveries d, flywheel.chain_head h ORDER BY d.consumer"
)


@dataclass(frozen=True)
class Delivery:
    """One consumer's row.

    Args:
        consumer: Its name.
        kind: `webhook` or `post hook`.
        target: Where events go: a host, or a callable.
        events: Patterns of kinds.
        active: Whether it is configured now; the place of one that is not is kept.
        delivered: The last event that it took, or that was none of its business.
        waiting: The event that it did not take yet.
        attempts: How often that was tried.
        next_attempt: When it is tried again, UTC.
        fault: What stood in the way last.
        lag: Events of the chain behind `delivered`.
    """

    consumer: str
    kind: str
    target: str
    events: str
    active: bool
    delivered: int
    waiting: int | None
    attempts: int
    next_attempt: datetime | None
    fault: str | None
    lag: int

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        at = self.next_attempt.isoformat() if self.next_attempt else None
        return {**vars(self), "next_attempt": at}


def install(connection: sa.Connection) -> None:
    """Create the table where it is missing; safe to repeat."""
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    connection.exec_driver_sql(SCHEMA)


def enrol(connection: sa.Connection, consumers: Mapping[str, Mapping[str, str]]) -> None:
    """Say who the consumers are, by name with `kind`, `target` and `events`; a new one begins with what comes now."""
    rest = sa.text("UPDATE flywheel.deliveries SET active = false WHERE active AND NOT consumer = ANY(:names)")
    connection.execute(rest, {"names": list(consumers)})
    for name, said in sorted(consumers.items()):
        connection.execute(ENROL, {"consumer": name, "events": "*", **said})


def due(connection: sa.Connection) -> Sequence[str]:
    """Return the consumers for whom there is something to do now."""
    return connection.scalars(DUE).all()


def read_all(connection: sa.Connection) -> list[Delivery]:
    """Return every consumer, also those that are not configured any more; none before the registry's process ran."""
    if not connection.scalar(sa.text("SELECT to_regclass('flywheel.deliveries') IS NOT NULL")):
        return []
    return [Delivery(**row) for row in connection.execute(ALL).mappings()]


def read_one(connection: sa.Connection, consumer: str) -> Delivery | None:
    """Return one consumer; None where nobody is called so."""
    return next((found for found in read_all(connection) if found.consumer == consumer), None)


def advance(connection: sa.Connection, consumer: str, before: int, to: int) -> bool:
    """Move a consumer from one place to a later one; False when it is not there any more."""
    statement = sa.text(
        "UPDATE flywheel.deliveries SET delivered = :to, waiting = NULL, attempts = 0, next_attempt = NULL, "
        "fault = NULL WHERE consumer = :consumer AND delivered = :before"
    )
    return connection.execute(statement, {"consumer": consumer, "before": before, "to": to}).rowcount == 1


def defer(connection: sa.Connection, consumer: str, waiting: int, fault: str, delay: timedelta) -> None:
    """Record that a consumer did not take an event, and after how long it is tried again."""
    statement = sa.text(
        "UPDATE flywheel.deliveries SET waiting = :waiting, attempts = attempts + 1, fault = :fault, "
        "next_attempt = now() + :delay WHERE consumer = :consumer AND delivered < :waiting"
    )
    values = {"consumer": consumer, "waiting": waiting, "fault": fault, "delay": delay}
    connection.execute(statement, values)


def ask_test(connection: sa.Connection, consumer: str) -> uuid.UUID:
    """Ask the registry's process to try a consumer out; return the question's number."""
    number = uuid.uuid4()
    statement = sa.text("UPDATE flywheel.deliveries SET test_asked = :number WHERE consumer = :consumer")
    connection.execute(statement, {"consumer": consumer, "number": number})
    return number


def asked_test(connection: sa.Connection, consumer: str) -> uuid.UUID | None:
    """Return the number of a question that is not answered yet."""
    query = sa.text(
        "SELECT test_asked FROM flywheel.deliveries "
        "WHERE consumer = :consumer AND test_asked IS DISTINCT FROM test_answered"
    )
    found: uuid.UUID | None = connection.scalar(query, {"consumer": consumer})
    return found


def answer_test(connection: sa.Connection, consumer: str, number: uuid.UUID, fault: str | None) -> None:
    """Record how a test ended; a fault of None is a success."""
    statement = sa.text(
        "UPDATE flywheel.deliveries SET test_answered = :number, test_fault = :fault WHERE consumer = :consumer"
    )
    connection.execute(statement, {"consumer": consumer, "number": number, "fault": fault})


def answered_test(connection: sa.Connection, consumer: str, number: uuid.UUID) -> tuple[bool, str | None]:
    """Return whether a question has been answered, and with which fault."""
    query = sa.text("SELECT test_fault FROM flywheel.deliveries WHERE consumer = :consumer AND test_answered = :number")
    row = connection.execute(query, {"consumer": consumer, "number": number}).first()
    return (False, None) if row is None else (True, row.test_fault)
