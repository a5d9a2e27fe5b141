"""Which windows of the log have anything new, and their judgement, the oldest first."""

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa

from flywheel.events import EventKind, read
from flywheel.storage import PredictionLog
from flywheel.usecase import UseCase
from monitoring.windows.grid import is_due, judged, windows
from monitoring.windows.window import Span, read_window


def due_spans(
    engine: sa.Engine, log: PredictionLog, use_case: UseCase, *, since: datetime | None, as_of: datetime
) -> Iterator[Span]:
    """Yield the windows that have something new to judge, in order.

    Args:
        engine: Of the database with the events, as monitoring.
        log: The prediction log.
        use_case: Its window and name.
        since: From when on (naive UTC); by default as many of the last windows as the policy looks back on.
        as_of: Nothing known later is used (naive UTC).
    """
    monitor = use_case.monitor
    first = since or as_of - monitor.window * (monitor.retrain.harm.of + 1)
    with engine.connect() as connection:
        known = judged(read(connection, EventKind.MONITOR_WINDOW, use_case.name))
    for start, end in windows(first, as_of, monitor.window):
        span = Span(start, end, as_of)
        counts = read_window(log, use_case, span).counts
        if is_due((start, end), known, answered=counts.answered, labelled=counts.labelled):
            yield span
