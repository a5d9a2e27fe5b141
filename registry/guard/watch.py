"""The pointer watch: a stage or alias that moved without its event goes back to where the events put it.

A look compares in one snapshot, in which a move and its event are both there or both not. What differs is compared
again under the chain's lock, behind which no move of the gate can be half done; only then is it put back, with
`pointer.reverted` and `alert` in the same transaction. While the chain itself is broken nothing is put back: nobody
could say to where.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
import structlog

from flywheel import events
from flywheel.errors import FlywheelError, IntegrityError, TransientError
from flywheel.events import EventKind
from flywheel.identities import GATES
from registry.guard.alert import REGISTRY, is_raised, raise_alert
from registry.guard.mirror import Differences, Mirror, MovedAlias, MovedVersion

log = structlog.get_logger()

BROKEN_SECONDS = 60.0  # between two looks at a broken chain, which is read from its beginning each time
ROUNDS = 50  # of `AT_ONCE` pointers in one run
NAMED = 5  # pointers that a sentence names
REMEDY = "Somebody wrote to the database past the gate: find out who, and change its passwords."


class PointerWatch:
    """A job of the registry's process; not for several threads.

    Args:
        engine: The database as the server's role, which owns MLflow's tables.
    """

    name = "pointers"
    seconds = 2.0

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._mirror: Mirror | None = None
        self._broken: IntegrityError | None = None
        self._again_at = 0.0
        self._told: set[str] = set()

    def run(self) -> None:
        """Look once, and put back what moved.

        Raises:
            TransientError: Postgres does not answer.
            IntegrityError: The chain is broken: nothing is put back.
        """
        if self._broken is not None and time.monotonic() < self._again_at:
            raise self._broken
        try:
            self._watch()
            self._broken = None
        except IntegrityError as fault:
            self.close()
            self._broken, self._again_at = fault, time.monotonic() + BROKEN_SECONDS
            sentence = f"{fault} Until then nothing that moves without its event is put back."
            self._tell(REGISTRY, "chain.broken", sentence)
            raise
        except sa.exc.DBAPIError as fault:
            self.close()
            raise TransientError(f"The pointers cannot be compared: {str(fault).splitlines()[0]}") from fault
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Forget everything; the next run begins with the first event."""
        connection, self._connection, self._mirror = self._connection, None, None
        if connection is not None:
            connection.invalidate()  # its temporary tables must not come back with it out of the pool
            connection.close()

    def _watch(self) -> None:
        connection, mirror = self._open()
        with connection.begin():
            _close_guards(connection)
        for _ in range(ROUNDS):
            with _snapshot(connection):
                mirror.catch_up(connection)
                seen = mirror.compare(connection)
            if not seen.moved:
                break
            with connection.begin():
                connection.exec_driver_sql("SET LOCAL lock_timeout = '3s'")
                events.lock_head(connection)
                mirror.catch_up(connection)
                _put_back(connection, mirror.compare(connection))
        self._tell_of_lost(seen)
        self._tell_of_unreadable(mirror)

    def _open(self) -> tuple[sa.Connection, Mirror]:
        if self._connection is None or self._mirror is None:
            self._connection = self._engine.connect()
            self._mirror = Mirror(self._connection)
        return self._connection, self._mirror

    def _tell_of_lost(self, seen: Differences) -> None:
        for name, numbers in seen.lost:
            sentence = f"The rows of versions {numbers} of '{name}' are gone from the registry without an event. "
            self._tell(name, "pointer.lost", sentence + "Restore them from a backup of the database. " + REMEDY)

    def _tell_of_unreadable(self, mirror: Mirror) -> None:
        for event in mirror.unreadable:
            sentence = f"Event {event.seq} ({event.kind} of {event.subject}) lacks what an event of its kind says."
            self._tell(REGISTRY, "event.unreadable", f"{sentence} It moves nothing. {REMEDY}")
        mirror.unreadable.clear()

    def _tell(self, subject: str, what: str, sentence: str) -> None:
        """Alert once, however often it is found, and also over restarts."""
        if sentence in self._told:
            return
        try:
            with self._engine.begin() as connection:
                if not is_raised(connection, what, sentence, subject=subject):
                    raise_alert(connection, what, sentence, subject=subject)
        except (sa.exc.DBAPIError, FlywheelError) as fault:  # a broken chain may refuse the very alert
            log.error("alert cannot be recorded", what=what, sentence=sentence, reason=str(fault).splitlines()[0])
            return
        self._told.add(sentence)


@contextmanager
def _snapshot(connection: sa.Connection) -> Iterator[None]:
    with connection.begin():
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _close_guards(connection: sa.Connection) -> None:
    """Bring back triggers that were disabled or dropped, and alert."""
    if missing := events.unguarded(connection):
        events.install(connection)  # first, since an event that is added without them breaks the chain
        names = ", ".join(f"{name} on {table}" for table, name in missing)
        raise_alert(connection, "guard.disabled", f"Triggers were disabled ({names}). They are back. {REMEDY}")


def _put_back(connection: sa.Connection, found: Differences) -> None:
    said: dict[str, list[str]] = {}
    for version in found.versions:
        said.setdefault(version.name, []).append(_put_version_back(connection, version))
    for alias in found.aliases:
        said.setdefault(alias.name, []).append(_put_alias_back(connection, alias))
    for name, sentences in said.items():
        more = f" And {len(sentences) - NAMED} more." if len(sentences) > NAMED else ""
        sentence = f"{' '.join(sentences[:NAMED])}{more} All is put back. {REMEDY}"
        raise_alert(connection, "pointer.moved", sentence, {"model": name}, subject=name)


def _put_version_back(connection: sa.Connection, moved: MovedVersion) -> str:
    what = f"Version {moved.version} of '{moved.name}'"
    if moved.stage_now == moved.stage:
        return _put_source_back(connection, moved, what)
    statement = "UPDATE model_versions SET current_stage = :stage, last_updated_time = :now"
    connection.execute(
        sa.text(f"{statement} WHERE name = :name AND version = :version"),
        {"stage": moved.stage, "now": _now(), "name": moved.name, "version": moved.version},
    )
    body = {"pointer": "stage", "model": moved.name, "version": str(moved.version)}
    body |= {"from": moved.stage_now or "", "to": moved.stage}
    events.append(connection, EventKind.POINTER_REVERTED, f"{moved.name}/{moved.version}", GATES, body)
    return f"{what} went from {moved.stage} to {moved.stage_now} without an event."


def _put_source_back(connection: sa.Connection, moved: MovedVersion, what: str) -> str:
    source, location = moved.source or moved.source_now, moved.location or moved.location_now
    connection.execute(
        sa.text(
            "UPDATE model_versions SET source = :source, storage_location = :location, last_updated_time = :now "
            "WHERE name = :name AND version = :version"
        ),
        {"source": source, "location": location, "now": _now(), "name": moved.name, "version": moved.version},
    )
    body = {"pointer": "source", "model": moved.name, "version": str(moved.version)}
    body |= {"from": moved.location_now or moved.source_now or "", "to": location or source or ""}
    events.append(connection, EventKind.POINTER_REVERTED, f"{moved.name}/{moved.version}", GATES, body)
    return f"{what} was made to point at other bytes ({body['from']}) without an event."


def _put_alias_back(connection: sa.Connection, moved: MovedAlias) -> str:
    place = {"name": moved.name, "alias": moved.alias, "version": moved.version}
    if moved.version is None:
        statement = "DELETE FROM registered_model_aliases WHERE name = :name AND alias = :alias"
    elif moved.version_now is None:
        statement = "INSERT INTO registered_model_aliases (name, alias, version) VALUES (:name, :alias, :version)"
    else:
        statement = "UPDATE registered_model_aliases SET version = :version WHERE name = :name AND alias = :alias"
    connection.execute(sa.text(statement), place)
    before, after = (None if number is None else str(number) for number in (moved.version_now, moved.version))
    body = {"pointer": "alias", "model": moved.name, "alias": moved.alias, "from": before, "version": after}
    subject = moved.name if after is None else f"{moved.name}/{after}"
    events.append(connection, EventKind.POINTER_REVERTED, subject, GATES, body)
    what = f"Alias '{moved.alias}' of '{moved.name}'"
    return f"{what} went from {after or 'nowhere'} to {before or 'nowhere'} without an event."


def _now() -> int:
    return int(time.time() * 1000)
