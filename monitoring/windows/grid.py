"""Which windows are due: those of a fixed grid that are over, and not judged yet or known better since.

The grid has no beginning of its own, so that looks at any time agree on its windows: weeks begin on Mondays.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from flywheel.events import Event, EventKind

ORIGIN = datetime(1970, 1, 5)  # a Monday, naive UTC like all event times


@dataclass(frozen=True)
class Judged:
    """How a window stood when it was judged last.

    Attributes:
        as_of: Nothing known later was used (naive UTC).
        answered: Predictions in it.
        labelled: Those with an outcome.
    """

    as_of: datetime
    answered: int
    labelled: int


def windows(first: datetime, now: datetime, length: timedelta) -> list[tuple[datetime, datetime]]:
    """Return the windows of the grid that hold `first` or lie behind it and are over at `now`, in order.

    Args:
        first: Naive UTC.
        now: Naive UTC.
        length: Of each window.
    """
    start, found = ORIGIN + (first - ORIGIN) // length * length, []
    while start + length <= now:
        found.append((start, start + length))
        start += length
    return found


def judged(events: Iterable[Event]) -> dict[tuple[datetime, datetime], Judged]:
    """Return how each window of a use case was judged last, by its start and end; other events do not count."""
    found: dict[tuple[datetime, datetime], Judged] = {}
    for event in events:
        if event.kind == EventKind.MONITOR_WINDOW:
            start, end, as_of = (datetime.fromisoformat(event.body[name]) for name in ("start", "end", "as_of"))
            found[start, end] = Judged(as_of, int(event.body["answered"]), int(event.body["labelled"]))
    return found


def is_due(
    span: tuple[datetime, datetime],
    known: Mapping[tuple[datetime, datetime], Judged],
    *,
    answered: int,
    labelled: int,
) -> bool:
    """Say whether a window has anything that was not judged: late predictions and outcomes reopen it.

    Args:
        span: Start and end.
        known: What `judged` returns.
        answered: Predictions in it now.
        labelled: Those with an outcome now.
    """
    before = known.get(span)
    if before is None:
        return answered > 0
    return (answered, labelled) != (before.answered, before.labelled)
