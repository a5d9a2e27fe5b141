"""The audit trail as the controller uses it: one leader, who reads the verified chain and appends rollout events.

Each tick reads only what has come since the last one and checks that it continues what was checked before. The whole
chain is checked at the first reading and now and then after it, so that a rewritten past is found as well.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from flywheel import events
from flywheel.database import open_database
from flywheel.errors import IntegrityError, TransientError
from flywheel.events import GENESIS, Event, EventKind, Head
from flywheel.identities import CONTROLLER
from flywheel.locks import AdvisoryLock
from flywheel.settings import Settings

AWAY = "Postgres does not answer the controller. See `flywheel status`."
LOCK = AdvisoryLock.CONTROLLER.value
# A statement of the ledger takes milliseconds. Without an answer for so long Postgres is away, though it may only stand
# still, and what harms is sent back without it.
ANSWER_SECONDS = 8.0
# Events that one statement reads: a step's event may be half a megabyte, and each statement has its time.
BATCH = 200
WHOLE_SECONDS = 600.0  # between two checks of the whole chain; a million events take about a minute


class AwayError(TransientError):
    """Postgres does not answer: nothing can be read, decided or recorded."""


class PostgresLedger:
    """Events through the leader's own connection: when it is lost, so are the lock and the right to append.

    SQLAlchemy connects anew by itself, without the lock. So an append after a loss is refused, and a reading, which
    begins a tick, takes the lock again first: what another leader did meanwhile is then known before anything is done.

    Args:
        connection: Of the leader, REPEATABLE READ.
        clock: Monotonic, seconds; says when the whole chain is due again.
    """

    def __init__(self, connection: sa.Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._whole: float | None = None
        self._head = GENESIS
        self._kept: list[Event] = []

    def read(self) -> list[Event]:
        """Return all events that deploy goes by (transitions, rollouts, policies), in order.

        Raises:
            IntegrityError: The chain is broken.
            TransientError: Postgres does not answer, or another controller leads since the connection was lost.
        """
        self._lead_again()
        now = self._clock()
        with _transaction(self._connection):
            head = events.read_head(self._connection)
            if head.seq < self._head.seq:
                raise IntegrityError(
                    f"The audit trail is broken: event {head.seq + 1} was read before and is missing. "
                    "Compare the database with a backup before trusting it."
                )
            if self._whole is None or now - self._whole > WHOLE_SECONDS:
                self._read_whole(head)
                self._whole = now
            else:
                self._read_on(head)
        return list(self._kept)

    def _lead_again(self) -> None:
        """Take the lock again when the connection was lost, as every restart of Postgres does."""
        if self._connection.invalidated and not _locked(self._connection):
            self._connection.invalidate()  # else the next reading would find a sound connection, and no lock
            raise TransientError("Another controller leads since this one lost its connection to Postgres.")

    def _read_whole(self, head: Head) -> None:
        kept: list[Event] = []
        events.verify(_keeping(events.stream(self._connection, BATCH), kept), head)
        if not _continues(kept, self._kept):
            raise IntegrityError("The audit trail was rewritten since it was last read. Compare it with a backup.")
        self._head, self._kept = head, kept

    def _read_on(self, head: Head) -> None:
        last = events.read_after(self._connection, self._head.seq - 1, 1) if self._head.seq else []
        if last and last[0].hash != self._head.hash:
            raise IntegrityError(
                f"The audit trail is broken: event {self._head.seq} is not the one that was read before. "
                "Compare the database with a backup before trusting it."
            )
        later: list[Event] = []
        found = events.stream(self._connection, BATCH, after=self._head.seq)
        events.verify(_keeping(found, later), head, start=self._head)
        self._head, self._kept = head, [*self._kept, *later]

    def record(self, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        """Append one event and commit.

        Raises:
            TransientError: Postgres does not answer; whether the event was written shows at the next reading.
        """
        if self._connection.invalidated:
            raise AwayError("The controller lost its connection to Postgres, and the lead with it.")
        with _transaction(self._connection):
            events.append(self._connection, kind, subject, CONTROLLER, body)


def _keeping(found: Iterable[Event], kept: list[Event]) -> Iterator[Event]:
    """Pass events on, and keep those that deploy goes by: gates and accounts leave many more."""
    for event in found:
        if event.kind in {EventKind.TRANSITION, EventKind.POLICY_ADOPTED} or str(event.kind).startswith("rollout."):
            kept.append(event)
        yield event


def _continues(longer: list[Event], shorter: list[Event]) -> bool:
    return not shorter or (len(longer) >= len(shorter) and longer[len(shorter) - 1].hash == shorter[-1].hash)


@contextmanager
def leadership(engine: sa.Engine) -> Iterator[PostgresLedger | None]:
    """Try to become the leader; None when another controller is.

    The lock is the session's: Postgres frees it when this process ends, however it ends.

    Raises:
        AwayError: Postgres does not answer.
    """
    with _connect(engine) as connection:
        if not _locked(connection):
            yield None
            return
        try:
            yield PostgresLedger(connection)
        finally:
            _unlock(connection)  # else the next leader would wait until the server has seen this session end


def read_trail(settings: Settings) -> list[Event]:
    """Return all events that deploy goes by, in order, for who only looks and leads nothing.

    Raises:
        IntegrityError: The chain is broken.
        TransientError: Postgres does not answer.
    """
    with open_ledger(settings) as engine, _connect(engine) as connection:
        return PostgresLedger(connection).read()


@contextmanager
def open_ledger(settings: Settings) -> Iterator[sa.Engine]:
    """Yield an engine for the controller's connections, on which nothing waits for long.

    Raises:
        StackError: Nothing has been started in this home.
    """
    with open_database(settings, "controller", most_seconds=ANSWER_SECONDS) as engine:
        yield engine


def _connect(engine: sa.Engine) -> sa.Connection:
    try:
        # Repeatable read: events and head are read at one moment, though others append in between.
        return engine.connect().execution_options(isolation_level="REPEATABLE READ")
    except sa.exc.OperationalError as fault:
        raise AwayError(AWAY) from fault


class Turns:
    """Leads for one pass at a time, so that whoever wants to lead for longer finds the lock free in between.

    What was read and verified is kept from turn to turn, as long as the connection lives. Not for several threads.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._held: tuple[sa.Connection, PostgresLedger] | None = None

    @contextmanager
    def turn(self) -> Iterator[PostgresLedger | None]:
        """Lead, unless another controller does: then None.

        Raises:
            AwayError: Postgres does not answer.
        """
        try:
            connection, ledger = self._open()
            if not _locked(connection):
                yield None
                return
            try:
                yield ledger
            finally:
                _unlock(connection)
        except AwayError:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; the next turn opens another one."""
        if self._held is not None:
            self._held[0].invalidate()
            self._held[0].close()
            self._held = None

    def _open(self) -> tuple[sa.Connection, PostgresLedger]:
        if self._held is None:
            connection = _connect(self._engine)
            self._held = connection, PostgresLedger(connection)
        return self._held


def _locked(connection: sa.Connection) -> bool:
    with _transaction(connection):
        return bool(connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}))


def _unlock(connection: sa.Connection) -> None:
    if connection.invalidated:  # the lock is gone already, and connecting anew may take long
        return
    with _transaction(connection):
        # All of them: a connection that was lost meanwhile has taken the lock once more.
        connection.execute(sa.text("SELECT pg_advisory_unlock_all()"))


@contextmanager
def _transaction(connection: sa.Connection) -> Iterator[None]:
    try:
        with connection.begin():
            yield
    except sa.exc.OperationalError as fault:
        raise AwayError(AWAY) from fault
