"""What history asks of the audit trail: few rows and little parsing, however many versions a model has.

A model that was renamed has events under its old name as well: `spans` says which events are the model's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from flywheel.events import EVENTS, EventKind, model_of, read
from registry.history.champions import Move

MOVES = (EventKind.VERSION_CREATED, EventKind.TRANSITION, EventKind.POINTER_REVERTED)
LAST_SEQ = 1 << 62


@dataclass(frozen=True)
class Span:
    """The events with `after` < number <= `until` of the model that had this name then."""

    name: str
    after: int
    until: int


@dataclass(frozen=True)
class StageCount:
    """How many versions are in a stage, and the latest that came there: subject, who, when, number of the event."""

    stage: str
    count: int
    latest: tuple[tuple[str, str, datetime, int], ...]


def spans(connection: sa.Connection, name: str) -> list[Span]:
    """Return the stretches of the trail that belong to a model, the newest first; each has the name it had then."""
    found: list[Span] = []
    until = LAST_SEQ
    while True:
        renames = [event for event in read(connection, EventKind.MODEL_RENAMED, name) if event.seq < until]
        if not renames:
            return [*found, Span(name, 0, until)]
        last = renames[-1]
        found.append(Span(name, last.seq, until))
        if last.body.get("to") != name:  # an earlier model of this name was renamed away: this one began afterwards
            return found
        name, until = str(last.body["from"]), last.seq - 1  # that one is the renaming as the old name has it


def newest_seq(connection: sa.Connection, stretch: Sequence[Span], at: datetime | None) -> int:
    """Return the number of the last of a model's events up to a time; 0 before the first."""
    query = sa.select(sa.func.max(EVENTS.c.seq)).where(_within(stretch))
    if at is not None:
        query = query.where(EVENTS.c.at <= at)
    return int(connection.scalar(query) or 0)


def first_time(connection: sa.Connection, stretch: Sequence[Span]) -> datetime | None:
    """Return when a model's first event was recorded, UTC; None without one."""
    found = connection.scalar(sa.select(EVENTS.c.at).where(_within(stretch)).order_by(EVENTS.c.seq).limit(1))
    return None if found is None else found.astimezone(UTC)


def stage_counts(connection: sa.Connection, stretch: Sequence[Span], until: int, shown: int) -> list[StageCount]:
    """Count a model's versions by the stage that each had after event `until`, with the latest `shown` of each."""
    number = _part(EVENTS.c.subject, "/", 2)
    moves = sa.and_(_within(stretch), EVENTS.c.kind.in_([str(kind) for kind in MOVES]), EVENTS.c.seq <= until)
    # The last event of each version first, and only then its body: bodies are what takes time.
    last = sa.select(sa.func.max(EVENTS.c.seq)).where(moves).group_by(number)
    stage = sa.case((EVENTS.c.kind == str(EventKind.VERSION_CREATED), "None"), else_=_text("to")).label("stage")
    columns = [EVENTS.c.subject, EVENTS.c.seq, EVENTS.c.actor, EVENTS.c.at]
    staged = sa.select(*columns, stage).where(EVENTS.c.seq.in_(last)).subquery()
    place = sa.func.row_number().over(partition_by=staged.c.stage, order_by=staged.c.seq.desc()).label("place")
    count = sa.func.count().over(partition_by=staged.c.stage).label("versions")
    ranked = sa.select(staged, place, count).subquery()
    rows = connection.execute(sa.select(ranked).where(ranked.c.place <= shown).order_by(ranked.c.seq.desc())).all()
    found: dict[str, tuple[int, list[tuple[str, str, datetime, int]]]] = {}
    for row in rows:
        entry = (row.subject, row.actor, row.at.astimezone(UTC), row.seq)
        found.setdefault(row.stage, (row.versions, []))[1].append(entry)
    return [StageCount(stage, count, tuple(latest)) for stage, (count, latest) in found.items()]


def alias_moves(connection: sa.Connection, stretch: Sequence[Span], alias: str, until: int) -> list[Move]:
    """Return every move of an alias up to event `until`, oldest first."""
    named = EVENTS.c.body.contains(f'"alias":"{alias}"', autoescape=True)
    return _moves(connection, stretch, (EventKind.ALIAS_MOVED,), until, named)


def production_moves(connection: sa.Connection, stretch: Sequence[Span], until: int) -> list[Move]:
    """Return every transition into Production or out of it up to event `until`, oldest first."""
    named = EVENTS.c.body.contains('"Production"', autoescape=True)
    return _moves(connection, stretch, MOVES[1:], until, named)


def _moves(
    connection: sa.Connection,
    stretch: Sequence[Span],
    kinds: Sequence[EventKind],
    until: int,
    which: sa.ColumnElement[bool],
) -> list[Move]:
    wanted = sa.and_(_within(stretch), EVENTS.c.kind.in_([str(kind) for kind in kinds]), EVENTS.c.seq <= until, which)
    columns = [EVENTS.c.seq, EVENTS.c.at, _text("version"), _text("to")]
    rows = connection.execute(sa.select(*columns).where(wanted).order_by(EVENTS.c.seq))
    return [Move(seq, at.astimezone(UTC), version or None, stage) for seq, at, version, stage in rows]


def _text(key: str) -> sa.ColumnElement[str]:
    """Return the SQL for one text of a body, '' without it: faster than reading the JSON.

    Inside of a JSON string every quote has a backslash before it, so that this finds the key alone.
    """
    return _part(_part(EVENTS.c.body, f'"{key}":"', 2), '"', 1)


def _part(text: sa.ColumnElement[str], divider: str, number: int) -> sa.ColumnElement[str]:
    return sa.func.split_part(text, sa.literal_column(f"'{divider}'"), sa.literal_column(str(number)))


def _within(stretch: Sequence[Span]) -> sa.ColumnElement[bool]:
    parts: list[Any] = [
        sa.and_(model_of(EVENTS.c.subject) == span.name, EVENTS.c.seq > span.after, EVENTS.c.seq <= span.until)
        for span in stretch
    ]
    return sa.or_(*parts)
