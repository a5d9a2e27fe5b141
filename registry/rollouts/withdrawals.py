"""Who took a version out of Production and so ended its rollout: the event of a person's, not of the rollout.

The controller sees that the version is gone, and says no more; name and reason stand on the transition's event.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import sqlalchemy as sa

from flywheel.events import EVENTS, Event, EventKind, from_row
from flywheel.rollbacks import Cause
from registry.policy.rules import PRODUCTION
from registry.rollouts.record import Moment, Record


def with_withdrawals(connection: sa.Connection, found: Sequence[Record]) -> list[Record]:
    """Say of each rollout that a person's withdrawal ended which event that was."""
    subjects = {subject for one in found if one.cause == Cause.WITHDRAWN for subject in _subjects(one)}
    if not subjects:
        return list(found)
    query = sa.select(*EVENTS.columns).where(EVENTS.c.kind == str(EventKind.TRANSITION), EVENTS.c.subject.in_(subjects))
    rows = connection.execute(query.order_by(EVENTS.c.seq)).mappings()
    moves = [event for event in map(from_row, rows) if event.body.get("to") != PRODUCTION]
    return [replace(one, withdrawn=_last(moves, one)) for one in found]


def with_moments(record: Record) -> Iterator[Moment]:
    """Yield what happened in a rollout, oldest first, and among it the withdrawal that ended it."""
    before: Moment | None = None
    for moment in record.moments:
        gone = record.withdrawn
        if gone is not None and before is not None and before.event.seq < gone.seq < moment.event.seq:
            yield replace(before, event=gone)
        yield moment
        before = moment


def _last(moves: Sequence[Event], record: Record) -> Event | None:
    """Return the last of these that is of one of its versions and lies before the rollout went back."""
    if record.cause != Cause.WITHDRAWN:
        return None
    end = next(one.event.seq for one in record.moments if one.event.kind == EventKind.ROLLOUT_ROLLED_BACK)
    return next(
        (one for one in reversed(moves) if record.seq < one.seq < end and one.subject in _subjects(record)), None
    )


def _subjects(record: Record) -> set[str]:
    return {f"{record.model}/{one.number}" for one in (record.new, *record.others)}
