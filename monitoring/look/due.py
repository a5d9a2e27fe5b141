"""Which windows of the log have anything new to judge, the oldest first."""

from collections.abc import Callable, Mapping
from datetime import datetime

import sqlalchemy as sa

from flywheel.events import EventKind, read
from flywheel.usecase import UseCase
from monitoring.windows.grid import Judged, counted_windows, is_due, judged, windows
from monitoring.windows.window import Window

Cut = Callable[[datetime, datetime], Window]
Spans = list[tuple[datetime, datetime]]


def first_start(use_case: UseCase, *, since: datetime | None, as_of: datetime) -> datetime:
    """Return from when on windows are due (naive UTC).

    Args:
        use_case: Its window, and on how many of the last its policy looks back.
        since: What a person asked for; None: as many windows as the policy looks back on.
        as_of: Nothing known later is used.
    """
    length = use_case.monitor.window
    first = since or as_of - length * (use_case.monitor.retrain.harm.of + 1)
    return windows(first, first + 2 * length, length)[0][0]


def due_windows(engine: sa.Engine, use_case: UseCase, cut: Cut, first: datetime, as_of: datetime) -> list[Window]:
    """Return the windows that have something new, in order.

    Args:
        engine: Of the database with the events, as monitoring.
        use_case: Its window and name.
        cut: Gives the window from a start to an end.
        first: What `first_start` returns.
        as_of: Nothing known later is used (naive UTC).
    """
    with engine.connect() as connection:
        known = judged(read(connection, EventKind.MONITOR_WINDOW, use_case.name))
    length, rows = use_case.monitor.window, use_case.monitor.window_rows
    spans = windows(first, as_of, length) if rows is None else _counted(known, cut, first, as_of, rows)
    found = [cut(start, end) for start, end in spans]
    return [
        one
        for one in found
        if is_due((one.span.start, one.span.end), known, answered=one.counts.answered, labelled=one.counts.labelled)
    ]


def _counted(
    known: Mapping[tuple[datetime, datetime], Judged], cut: Cut, first: datetime, as_of: datetime, rows: int
) -> Spans:
    """Return windows of so many answers: those that were judged, which late ones reopen, and those that follow them."""
    before = sorted(span for span in known if first < span[1] <= as_of)
    begin = max((end for _, end in before), default=first)
    times = cut(begin, as_of).rows["event_time"].sort() if begin < as_of else None
    return before if times is None else before + counted_windows(times, begin, rows)
