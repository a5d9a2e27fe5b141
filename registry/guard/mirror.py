"""The pointers that must be, beside those that are: a fold of the events in tables of one session, compared by SQL.

The tables are temporary: nobody else can write to them, and they are gone with the connection. Only new events are read
and only what they changed is written, so that a look costs a comparison in Postgres and little else.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from flywheel import events
from flywheel.errors import IntegrityError
from flywheel.events import GENESIS, Event, Head
from registry.guard.projection import Key, Pointers

BATCH = 1000  # events read at a time
AT_ONCE = 200  # pointers put back in one transaction

TABLES = """
CREATE TEMPORARY TABLE expected_versions (
    name varchar(256), version integer, stage text NOT NULL, source text, location text, PRIMARY KEY (name, version));
CREATE TEMPORARY TABLE expected_aliases (
    name varchar(256), alias varchar(256), version integer, PRIMARY KEY (name, alias));
"""
PUT_VERSION = sa.text(
    "INSERT INTO pg_temp.expected_versions VALUES (:name, :version, :stage, :source, :location) "
    "ON CONFLICT (name, version) DO UPDATE SET stage = :stage, source = :source, location = :location"
)
PUT_ALIAS = sa.text(
    "INSERT INTO pg_temp.expected_aliases VALUES (:name, :alias, :version) "
    "ON CONFLICT (name, alias) DO UPDATE SET version = :version"
)
# The most harmful first, for the case that there are many.
MOVED_VERSIONS = sa.text(
    """
    SELECT * FROM (
    SELECT e.name, e.version, e.stage, e.source, e.location,
           v.current_stage AS stage_now, v.source AS source_now, v.storage_location AS location_now
    FROM pg_temp.expected_versions e JOIN model_versions v ON v.name = e.name AND v.version = e.version
    WHERE v.current_stage IS DISTINCT FROM e.stage
       OR v.source <> e.source OR v.storage_location <> e.location
       OR (e.source IS NOT NULL AND v.source IS NULL) OR (e.location IS NOT NULL AND v.storage_location IS NULL)
    UNION ALL
    SELECT v.name, v.version, 'None', NULL, NULL, v.current_stage, v.source, v.storage_location
    FROM model_versions v LEFT JOIN pg_temp.expected_versions e ON v.name = e.name AND v.version = e.version
    WHERE e.name IS NULL AND v.current_stage NOT IN ('None', 'Deleted_Internal') AND v.creation_time >= :since
    ) AS moved ORDER BY stage_now = 'Production' DESC, name, version LIMIT :limit
    """
)
MOVED_ALIASES = sa.text(
    """
    SELECT coalesce(e.name, a.name) AS name, coalesce(e.alias, a.alias) AS alias, e.version, a.version AS version_now
    FROM pg_temp.expected_aliases e FULL JOIN registered_model_aliases a ON a.name = e.name AND a.alias = e.alias
    WHERE e.version IS DISTINCT FROM a.version AND (
        (a.name IS NOT NULL AND (e.name IS NOT NULL OR EXISTS (
            SELECT 1 FROM pg_temp.expected_versions k WHERE k.name = a.name)))
        OR (a.name IS NULL AND EXISTS (SELECT 1 FROM registered_models m WHERE m.name = e.name)))
    ORDER BY 1, 2 LIMIT :limit
    """
)
LOST_VERSIONS = sa.text(
    """
    SELECT e.name, string_agg(e.version::text, ', ' ORDER BY e.version) AS versions
    FROM pg_temp.expected_versions e LEFT JOIN model_versions v ON v.name = e.name AND v.version = e.version
    WHERE v.name IS NULL AND e.stage <> 'Deleted_Internal' GROUP BY e.name ORDER BY e.name
    """
)


@dataclass(frozen=True)
class MovedVersion:
    """A version whose row does not say what the events say."""

    name: str
    version: int
    stage: str
    source: str | None
    location: str | None
    stage_now: str | None
    source_now: str | None
    location_now: str | None


@dataclass(frozen=True)
class MovedAlias:
    """An alias that is not where the events put it; None is nowhere."""

    name: str
    alias: str
    version: int | None
    version_now: int | None


@dataclass(frozen=True)
class Differences:
    """What differs now, at most `AT_ONCE` of each; `lost` holds the numbers of versions without a row, by model."""

    versions: tuple[MovedVersion, ...] = ()
    aliases: tuple[MovedAlias, ...] = ()
    lost: tuple[tuple[str, str], ...] = ()

    @property
    def moved(self) -> bool:
        """Whether anything can be put back."""
        return bool(self.versions or self.aliases)


class Mirror:
    """The fold of one session. After any fault, throw it away with its connection and make another."""

    def __init__(self, connection: sa.Connection) -> None:
        with connection.begin():
            connection.exec_driver_sql(TABLES)
        self._pointers = Pointers()
        self._head: Head = GENESIS
        self._since = 0  # of the first event, in milliseconds: older rows may be older than the gate
        self.unreadable: list[Event] = []

    def catch_up(self, connection: sa.Connection) -> None:
        """Follow the events that are new in the caller's transaction.

        Raises:
            IntegrityError: They do not continue the chain.
        """
        while found := events.read_after(connection, self._head.seq, BATCH):
            events.verify(found, start=self._head)
            for event in found:
                self._apply(event)
            self._head = Head(found[-1].seq, found[-1].hash)
        if events.read_head(connection) != self._head:
            raise IntegrityError(
                f"The audit trail is broken: it ends at event {self._head.seq}, and its head does not."
            )
        versions, aliases = self._pointers.take_changes()
        self._write_versions(connection, versions)
        self._write_aliases(connection, aliases)

    def compare(self, connection: sa.Connection) -> Differences:
        """Compare what must be with what is, in the caller's transaction."""
        versions = connection.execute(MOVED_VERSIONS, {"since": self._since, "limit": AT_ONCE})
        aliases = connection.execute(MOVED_ALIASES, {"limit": AT_ONCE})
        return Differences(
            tuple(MovedVersion(*row) for row in versions),
            tuple(MovedAlias(*row) for row in aliases),
            tuple((name, numbers) for name, numbers in connection.execute(LOST_VERSIONS)),
        )

    def _apply(self, event: Event) -> None:
        if self._head == GENESIS and not self._since:
            self._since = int(event.at.timestamp() * 1000)
        try:
            self._pointers.apply(event)
        except (KeyError, TypeError, AttributeError):
            self.unreadable.append(event)

    def _write_versions(self, connection: sa.Connection, changed: Iterable[Key]) -> None:
        rows, gone = [], []
        for key in changed:
            place = {"name": key[0], "version": int(key[1])}
            expected = self._pointers.version(key)
            if expected is None:
                gone.append(place)
            else:
                known = {"stage": expected.stage, "source": expected.source, "location": expected.location}
                rows.append(place | known)
        if gone:
            connection.execute(
                sa.text("DELETE FROM pg_temp.expected_versions WHERE name = :name AND version = :version"), gone
            )
        if rows:
            connection.execute(PUT_VERSION, rows)

    def _write_aliases(self, connection: sa.Connection, changed: Iterable[Key]) -> None:
        rows, gone = [], []
        for key in changed:
            place = {"name": key[0], "alias": key[1]}
            target = self._pointers.alias(key)
            if self._pointers.has_alias(key):
                rows.append(place | {"version": None if target is None else int(target)})
            else:
                gone.append(place)
        if gone:
            connection.execute(
                sa.text("DELETE FROM pg_temp.expected_aliases WHERE name = :name AND alias = :alias"), gone
            )
        if rows:
            connection.execute(PUT_ALIAS, rows)
