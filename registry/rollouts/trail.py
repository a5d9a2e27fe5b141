"""What the audit trail says of rollouts, without the looks: they are most of its bytes, and nobody here reads them.

One event of a step carries up to 2,000 looks; Postgres cuts them out of the text before anything is read here.
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa

from flywheel.events import EVENTS, Event, EventKind, model_of
from flywheel.rollbacks import Cause
from registry.rollouts.record import LIVE, SAID, Record, records, under_way
from registry.rollouts.withdrawals import with_withdrawals

SHOWN = 50  # rollouts in a list, the newest
KINDS = [str(kind) for kind in EventKind if str(kind).startswith("rollout.")]
# What only `flywheel verdict` reads, and what only the page of one rollout draws.
LOOKS, CURVES = "looks", "trace"
STARTED = EventKind.ROLLOUT_STARTED


def newest(connection: sa.Connection, model: str, limit: int = SHOWN) -> list[Record]:
    """Return a model's newest rollouts, oldest first, as they stand; what led there is thinned (`_last_of_runs`)."""
    starts = sa.select(EVENTS.c.seq).where(_started(model)).order_by(EVENTS.c.seq.desc()).limit(limit).subquery()
    oldest = connection.scalar(sa.select(sa.func.min(starts.c.seq)))
    if oldest is None:
        return []
    found = _read(connection, _last_of_runs(model, oldest), (LOOKS, CURVES))
    names = {event.body.get("rollout") for event in found if event.kind == STARTED}
    # A rollout before these may have gone back only now; its start is not among them.
    kept = [one for one in found if one.kind == EventKind.ROLLOUT_UNDEPLOYED or one.body.get("rollout") in names]
    return with_withdrawals(connection, records(kept))


def count(connection: sa.Connection, model: str) -> int:
    """Return how many rollouts a model has had."""
    return int(connection.scalar(sa.select(sa.func.count()).where(_started(model))) or 0)


def current(connection: sa.Connection, model: str) -> Record | None:
    """Return the rollout of a model that is under way; the controller starts none before the last is over."""
    return under_way(newest(connection, model, 1))


def one(connection: sa.Connection, model: str, name: str) -> Record | None:
    """Return one rollout of a model with the curves of its evidence; None when there is none of that name."""
    start = connection.scalar(sa.select(EVENTS.c.seq).where(_started(model), _names(name)).limit(1))
    if start is None:
        return None
    named = sa.or_(_names(name), EVENTS.c.kind == str(EventKind.ROLLOUT_UNDEPLOYED))
    found = records(_read(connection, sa.and_(_since(model, start), named), (LOOKS,)))
    record = next((record for record in found if record.name == name), None)
    return with_withdrawals(connection, [record])[0] if record is not None else None


def replaced(connection: sa.Connection, record: Record) -> str | None:
    """Return the number of the version that is live since instead of a rollout's; None while none is."""
    if record.phase not in LIVE or record.gone:
        return None
    found = newest(connection, record.model)
    named = next((one for one in found if one.name == record.name), None)
    if named is not None:
        return named.replaced
    return next((one.new.number for one in reversed(found) if one.phase in LIVE), None)  # it is older than all of them


def _started(model: str) -> sa.ColumnElement[bool]:
    return sa.and_(model_of(EVENTS.c.subject) == model, EVENTS.c.kind == str(STARTED))


def _since(model: str, seq: int) -> sa.ColumnElement[bool]:
    return sa.and_(model_of(EVENTS.c.subject) == model, EVENTS.c.kind.in_(KINDS), EVENTS.c.seq >= seq)


def _last_of_runs(model: str, seq: int) -> sa.ColumnElement[bool]:
    """Return the SQL for the events by which rollouts stand where they do: all but those that the next one overtakes.

    Steps follow each other, and each change is an intent and its confirmation: of such a run of one kind the last
    event says all that the others said. That leaves out most events with looks, so that they need not be read. Only who
    ended an experiment without a winner, people or its measure, the intent alone says.
    """
    said = EVENTS.c.kind.in_([str(kind) for kind in SAID])
    following = sa.func.lead(EVENTS.c.kind).over(partition_by=[EVENTS.c.subject, said], order_by=EVENTS.c.seq)
    undecided = EVENTS.c.body.contains(f'"cause":"{Cause.NO_WINNER}"', autoescape=True)
    no_winner = sa.case((EVENTS.c.kind == str(EventKind.ROLLOUT_ROLLED_BACK), undecided), else_=False)
    runs = sa.select(
        EVENTS.c.seq, EVENTS.c.kind, said.label("said"), following.label("following"), no_winner.label("no_winner")
    )
    found = runs.where(_since(model, seq)).subquery()
    last = sa.or_(
        found.c.said, found.c.kind.is_distinct_from(found.c.following), found.c.kind == str(STARTED), found.c.no_winner
    )
    return EVENTS.c.seq.in_(sa.select(found.c.seq).where(last))


def _names(rollout: str) -> sa.ColumnElement[bool]:
    """Return the SQL for "the body names this rollout".

    Inside of a JSON string every quote has a backslash before it, so that this finds the key alone.
    """
    return EVENTS.c.body.contains(f'"rollout":{json.dumps(rollout, ensure_ascii=False)}', autoescape=True)


def _read(connection: sa.Connection, wanted: sa.ColumnElement[bool], without: Sequence[str]) -> list[Event]:
    plain: sa.ColumnElement[str] = sa.literal_column("body::jsonb" + "".join(f" - '{key}'" for key in without))
    columns = [column for column in EVENTS.columns if column.name != "body"]
    query = sa.select(*columns, sa.cast(plain, sa.Text).label("body")).where(wanted).order_by(EVENTS.c.seq)
    return [_event(row) for row in connection.execute(query).mappings()]


def _event(row: sa.RowMapping) -> Event:
    body, at = json.loads(row["body"]), row["at"]
    return Event(
        row["seq"], EventKind(row["kind"]), row["subject"], row["actor"], at, body, row["previous"], row["hash"]
    )
