"""The audit trail: an append-only chain of events in Postgres, each carrying the hash of the one before.

Who writes: the registry's gate (in the transaction of the change it records), the controller and monitoring. Events are
the truth; MLflow's stages and aliases are a projection. Three triggers of the database hold what code alone could not:
events cannot be changed or removed, an event joins the chain at its head or not at all, and a version's stage changes
only in a transaction that also records a `transition`.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from flywheel.errors import IntegrityError
from flywheel.event_guards import GUARDS, SCHEDULE, SCHEDULER, SCHEMA, STAGE_GUARD
from flywheel.locks import AdvisoryLock


class EventKind(StrEnum):
    """What can happen: the registry writes all above `rollout.*`, deploy that and `log.*`, monitoring the rest."""

    VERSION_CREATED = "version.created"
    VERSION_SIGNED = "version.signed"
    TRANSITION = "transition"
    TRANSITION_REFUSED = "transition.refused"
    ALIAS_MOVED = "alias.moved"
    MODEL_RENAMED = "model.renamed"
    REVIEW_COMMENTED = "review.commented"
    REVIEW_APPROVED = "review.approved"
    REVIEW_REJECTED = "review.rejected"
    REVIEW_CHANGES_REQUESTED = "review.changes_requested"
    REVIEW_WITHDRAWN = "review.withdrawn"
    GATES_REQUESTED = "gates.requested"
    GATE_MEASURED = "gate.measured"
    POLICY_PROPOSED = "policy.proposed"
    POLICY_APPROVED = "policy.approved"
    POLICY_REJECTED = "policy.rejected"
    POLICY_ADOPTED = "policy.adopted"
    POINTER_REVERTED = "pointer.reverted"
    OVERRIDDEN = "overridden"
    ACCOUNT_CHANGED = "account.changed"
    TOKEN_ISSUED = "token.issued"  # noqa: S105  # no password
    TOKEN_REVOKED = "token.revoked"  # noqa: S105  # no password
    HOOK_SKIPPED = "hook.skipped"
    ALERT = "alert"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    ALERT_CLOSED = "alert.closed"
    ALERT_SILENCED = "alert.silenced"
    ALERT_UNSILENCED = "alert.unsilenced"
    ROLLOUT_STARTED = "rollout.started"
    ROLLOUT_STEP = "rollout.step"
    ROLLOUT_PROMOTED = "rollout.promoted"
    ROLLOUT_ROLLED_BACK = "rollout.rolled_back"
    ROLLOUT_HELD = "rollout.held"
    ROLLOUT_BAKED = "rollout.baked"
    ROLLOUT_TURNED_BAD = "rollout.turned_bad"
    ROLLOUT_WARNED = "rollout.warned"
    ROLLOUT_PAUSED = "rollout.paused"
    ROLLOUT_RESUMED = "rollout.resumed"
    ROLLOUT_ALLOWED = "rollout.allowed"
    ROLLOUT_UNDEPLOYED = "rollout.undeployed"
    LOG_EXPIRED = "log.expired"
    MONITOR_WINDOW = "monitor.window"
    MONITOR_LOOK = "monitor.look"
    MONITOR_ALERT_OPENED = "monitor.alert_opened"
    MONITOR_ALERT_CHANGED = "monitor.alert_changed"
    MONITOR_ALERT_RESOLVED = "monitor.alert_resolved"
    MONITOR_NOTICE = "monitor.notice"
    MONITOR_RECALIBRATED = "monitor.recalibrated"
    RETRAIN_DECIDED = "retrain.decided"
    RETRAIN_STARTED = "retrain.started"
    RETRAIN_FINISHED = "retrain.finished"


@dataclass(frozen=True)
class Head:
    """The end of the chain: how many events there are, and the hash of the last ('' before the first)."""

    seq: int
    hash: str


GENESIS = Head(0, "")


@dataclass(frozen=True)
class Event:
    """One link; `subject` is `<model>/<version>` or `<use case>`, `at` is UTC, `body` is plain JSON."""

    seq: int
    kind: EventKind
    subject: str
    actor: str
    at: datetime
    body: Mapping[str, Any]
    previous: str
    hash: str


def append(
    connection: sa.Connection,
    kind: EventKind,
    subject: str,
    actor: str,
    body: Mapping[str, Any],
    at: datetime | None = None,
) -> Event:
    """Add an event in the caller's transaction; the head stays locked until that ends.

    Raises:
        IntegrityError: The body is no plain JSON (a NaN, a date, an object).
    """
    head = lock_head(connection)
    event = chained(head, kind, subject, actor, body, at or datetime.now(UTC))
    row = {
        "seq": event.seq,
        "kind": str(kind),
        "subject": subject,
        "actor": actor,
        "at": event.at,
        "body": canonical(body),
        "previous": event.previous,
        "hash": event.hash,
    }
    connection.execute(EVENTS.insert().values(row))
    return event


def lock_head(connection: sa.Connection) -> Head:
    """Lock the end of the chain until the transaction ends: what is judged now then still holds when it is recorded."""
    return Head(*connection.execute(sa.text("SELECT seq, hash FROM flywheel.locked_head()")).one())


def read_head(connection: sa.Connection) -> Head:
    """Read the end of the chain without locking it."""
    return Head(*connection.execute(sa.text("SELECT seq, hash FROM flywheel.chain_head")).one())


def read(
    connection: sa.Connection, kind: EventKind | None = None, subject: str | None = None, *, model: str | None = None
) -> list[Event]:
    """Read events in order, all of them or those of one kind, one subject, or one model with all its versions."""
    query = sa.select(*(column for column in EVENTS.columns)).order_by(EVENTS.c.seq)
    if kind is not None:
        query = query.where(EVENTS.c.kind == str(kind))
    if subject is not None:
        query = query.where(EVENTS.c.subject == subject)
    if model is not None:
        query = query.where(model_of(EVENTS.c.subject) == model)
    return [from_row(row) for row in connection.execute(query).mappings()]


def read_kinds(
    connection: sa.Connection, kinds: Collection[EventKind], subjects: Collection[str] | None = None
) -> list[Event]:
    """Read the events of some kinds, of all subjects or of some, in order."""
    query = sa.select(*(column for column in EVENTS.columns)).order_by(EVENTS.c.seq)
    query = query.where(EVENTS.c.kind.in_([str(kind) for kind in kinds]))
    if subjects is not None:
        query = query.where(EVENTS.c.subject.in_(list(subjects)))
    return [from_row(row) for row in connection.execute(query).mappings()]


def model_of(subject: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """Return the SQL for the model that a subject belongs to, as the index `events_model` has it."""
    return sa.func.split_part(subject, sa.literal_column("'/'"), sa.literal_column("1"))


def read_after(connection: sa.Connection, seq: int, limit: int) -> list[Event]:
    """Read at most `limit` events that follow event `seq`, in order."""
    query = sa.select(*(column for column in EVENTS.columns)).where(EVENTS.c.seq > seq).order_by(EVENTS.c.seq)
    return [from_row(row) for row in connection.execute(query.limit(limit)).mappings()]


def stream(connection: sa.Connection, batch: int = 1000, *, after: int = 0) -> Iterator[Event]:
    """Yield every event behind `after` in order, with at most `batch` in memory.

    Open one snapshot (REPEATABLE READ) to verify.
    """
    seq = after
    while found := read_after(connection, seq, batch):
        yield from found
        seq = found[-1].seq


def verify(events: Iterable[Event], head: Head | None = None, *, start: Head = GENESIS) -> Head:
    """Check a whole chain from its first event; with `head`, also that its end is not cut off.

    Args:
        events: In order; read one by one, so that `stream` will do.
        head: Where the chain must end.
        start: Where it was found whole before: `events` begin behind it.

    Returns:
        Its end.

    Raises:
        IntegrityError: Names the first event that was altered, is missing, or stands in the wrong place.
    """
    last = start
    for event in events:
        if event.seq != last.seq + 1:
            raise IntegrityError(_broken(last.seq + 1, f"is missing or out of order: event {event.seq} stands there"))
        if event.previous != last.hash:
            raise IntegrityError(_broken(event.seq, "does not carry the hash of the event before it"))
        if event.hash != event_hash(event):
            raise IntegrityError(_broken(event.seq, f"({event.kind} of {event.subject}) was altered afterwards"))
        last = Head(event.seq, event.hash)
    if head is not None and last.seq < head.seq:
        raise IntegrityError(_broken(last.seq + 1, f"is missing: the chain's head stands at {head.seq}"))
    if head is not None and last.seq > head.seq:
        raise IntegrityError(_broken(head.seq + 1, f"was added: the chain's head stands at {head.seq}"))
    if head is not None and last.hash != head.hash:
        raise IntegrityError(_broken(head.seq, "was altered afterwards: the chain's head has another hash"))
    return last


def _broken(seq: int, what: str) -> str:
    return f"The audit trail is broken: event {seq} {what}. Compare the database with a backup before trusting it."


def chained(head: Head, kind: EventKind, subject: str, actor: str, body: Mapping[str, Any], at: datetime) -> Event:
    """Make the event that follows `head`, without writing it.

    Raises:
        IntegrityError: The body is no plain JSON.
    """
    plain = json.loads(canonical(body))
    draft = Event(head.seq + 1, kind, subject, actor, at.astimezone(UTC), plain, head.hash, "")
    return Event(draft.seq, kind, subject, actor, draft.at, plain, head.hash, event_hash(draft))


def event_hash(event: Event) -> str:
    """Return SHA-256 over the previous hash and everything the event says, as hexadecimal digits."""
    said = {
        "seq": event.seq,
        "kind": str(event.kind),
        "subject": event.subject,
        "actor": event.actor,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "body": event.body,
    }
    return hashlib.sha256((event.previous + canonical(said)).encode()).hexdigest()


def canonical(value: Mapping[str, Any]) -> str:
    """Write JSON in one way only: sorted keys, no blanks, no NaN.

    Raises:
        IntegrityError: Something in it is no plain JSON.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as fault:
        raise IntegrityError(f"An event's body must be plain JSON: {fault}. Convert it before recording it.") from fault


def from_row(row: sa.RowMapping) -> Event:
    """Make an event of a row of `EVENTS`, also of one that was tampered with."""
    # A kind that was tampered with is kept as it stands, so that `verify` can name its event.
    kind = EventKind(row["kind"]) if row["kind"] in set(EventKind) else row["kind"]
    body = _body(row["body"])
    at = row["at"].astimezone(UTC)
    return Event(row["seq"], kind, row["subject"], row["actor"], at, body, row["previous"], row["hash"])


def _body(text: str) -> Mapping[str, Any]:
    """Read a body; one that is not written as `canonical` writes it was tampered with, and `verify` names its event."""
    try:
        body: Mapping[str, Any] = json.loads(text)
        if canonical(body) == text:
            return body
    except (ValueError, RecursionError, IntegrityError):
        pass
    return {"unreadable": text}


def install(connection: sa.Connection, appenders: Sequence[str] = ("fw_controller", "fw_monitoring")) -> None:
    """Create schema, triggers and grants where they are missing; safe to repeat, also from several processes at once.

    Roles that do not exist are left out. Where MLflow's tables are not there yet, their guard waits for the next call.
    """
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.EVENTS.value})
    connection.exec_driver_sql(SCHEMA)
    if connection.scalar(sa.text("SELECT to_regclass('model_versions') IS NOT NULL")):
        connection.exec_driver_sql(STAGE_GUARD)
    for table, trigger in unguarded(connection):
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
    roles = set(connection.scalars(sa.text("SELECT rolname FROM pg_roles")))
    for role in sorted({*appenders, "fw_reader"} & roles):
        name = connection.dialect.identifier_preparer.quote(role)
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA flywheel TO {name}")
        connection.exec_driver_sql(f"GRANT SELECT ON flywheel.events, flywheel.chain_head TO {name}")
        if role in appenders:
            connection.exec_driver_sql(f"GRANT INSERT ON flywheel.events TO {name}")
            connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION flywheel.locked_head() TO {name}")
    if SCHEDULER in roles:
        connection.exec_driver_sql(SCHEDULE)


def unguarded(connection: sa.Connection) -> list[tuple[str, str]]:
    """Return the triggers that guard events and stages and are not there or disabled, as table and name."""
    query = sa.text(
        "SELECT CASE relnamespace::regnamespace::text WHEN 'flywheel' THEN 'flywheel.' ELSE '' END || relname, tgname "
        "FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE tgenabled IN ('O', 'A')"
    )
    there = {(table, name) for table, name in connection.execute(query)}
    missing = [guard for guard in GUARDS if guard not in there]
    tables = sa.text("SELECT name FROM unnest(CAST(:names AS text[])) name WHERE to_regclass(name) IS NOT NULL")
    known = set(connection.scalars(tables, {"names": [table for table, _ in missing]})) if missing else set()
    return [guard for guard in missing if guard[0] in known]


EVENTS = sa.Table(
    "events",
    sa.MetaData(schema="flywheel"),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("actor", sa.Text),
    sa.Column("at", sa.DateTime(timezone=True)),
    sa.Column("body", sa.Text),
    sa.Column("previous", sa.Text),
    sa.Column("hash", sa.Text),
)
