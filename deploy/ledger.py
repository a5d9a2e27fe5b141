"""The audit trail as the controller uses it: one leader, who reads the verified chain and appends rollout events."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from flywheel import events
from flywheel.errors import TransientError
from flywheel.events import Event, EventKind
from flywheel.identities import CONTROLLER

LOCK = 714002  # 714001 is the events' own


class PostgresLedger:
    """Events through the leader's own connection: when it is lost, so are the lock and the right to append."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def read(self) -> list[Event]:
        """Return all events in order.

        Raises:
            IntegrityError: The chain is broken.
            TransientError: Postgres does not answer.
        """
        with _transaction(self._connection):
            found = events.read(self._connection)
            head = events.read_head(self._connection)
        events.verify(found, head)
        return found

    def record(self, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        """Append one event and commit.

        Raises:
            TransientError: Postgres does not answer; whether the event was written shows at the next reading.
        """
        with _transaction(self._connection):
            events.append(self._connection, kind, subject, CONTROLLER, body)


@contextmanager
def leadership(engine: sa.Engine) -> Iterator[PostgresLedger | None]:
    """Try to become the leader; None when another controller is.

    The lock is the session's: Postgres frees it when this process ends, however it ends.

    Raises:
        TransientError: Postgres does not answer.
    """
    try:
        # Repeatable read: events and head are read at one moment, though others append in between.
        connection = engine.connect().execution_options(isolation_level="REPEATABLE READ")
    except sa.exc.OperationalError as fault:
        raise TransientError("Postgres does not answer the controller. See `flywheel status`.") from fault
    with connection:
        with _transaction(connection):
            leads = bool(connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}))
        yield PostgresLedger(connection) if leads else None


@contextmanager
def _transaction(connection: sa.Connection) -> Iterator[None]:
    try:
        with connection.begin():
            yield
    except sa.exc.OperationalError as fault:
        raise TransientError("Postgres does not answer the controller. See `flywheel status`.") from fault
