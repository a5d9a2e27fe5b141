"""Which windows are due: those that are over, and not judged yet or known better since.

Windows of time lie on a fixed grid that has no beginning of its own, so that looks at any time agree on them: weeks
begin on Mondays. Windows of so many answers follow the last that was judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

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


def counted_windows(times: pl.Series, first: datetime, rows: int) -> list[tuple[datetime, datetime]]:
    """Return windows that follow each other and hold `rows` answers each, in order; more where times are the same.

    Args:
        times: Event times of answers, rising, none before `first`.
        first: Where the first begins (naive UTC).
        rows: In each; a window is over where a later answer begins the next.
    """
    place, start, found = 0, first, list[tuple[datetime, datetime]]()
    while place + rows < len(times):
        last = times[place + rows - 1]
        place = int(times.search_sorted(last, side="right"))
        if place == len(times):
            break
        found.append((start, times[place]))
        start = times[place]
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
