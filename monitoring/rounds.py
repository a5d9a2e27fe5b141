"""A look at a use case: each window that is due is judged, the oldest first; by the schedule, and by hand."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from flywheel.database import open_database
from flywheel.events import EventKind, read
from flywheel.settings import Settings
from flywheel.storage import PredictionLog
from flywheel.usecase import UseCase, load_usecase
from monitoring.job import Result, check
from monitoring.reports.publication import Check
from monitoring.windows.grid import is_due, judged, windows
from monitoring.windows.window import Span, read_window


def due_spans(settings: Settings, use_case: UseCase, *, since: datetime | None, as_of: datetime) -> Iterator[Span]:
    """Yield the windows of the log that have something new to judge, in order.

    Args:
        settings: Whose home.
        use_case: Its window and name.
        since: From when on (naive UTC); by default as many of the last windows as the policy looks back on.
        as_of: Nothing known later is used (naive UTC).
    """
    monitor = use_case.monitor
    first = since or as_of - monitor.window * (monitor.retrain.harm.of + 1)
    with open_database(settings, "monitoring") as engine, engine.connect() as connection:
        known = judged(read(connection, EventKind.MONITOR_WINDOW, use_case.name))
    log = PredictionLog(settings.root / "log")
    for start, end in windows(first, as_of, monitor.window):
        span = Span(start, end, as_of)
        counts = read_window(log, use_case, span).counts
        if is_due((start, end), known, answered=counts.answered, labelled=counts.labelled):
            yield span


def look(
    settings: Settings,
    file: Path,
    *,
    since: datetime | None,
    as_of: datetime,
    start_training: bool,
    tell: Callable[[Span, Result], None],
) -> list[Result]:
    """Judge what is due; only the newest window may start a training.

    Args:
        settings: Whose home.
        file: The use case's usecase.yaml.
        since: As in `due_spans`.
        as_of: Nothing known later is used (naive UTC).
        start_training: Whether harm may start `mlflow run` at all.
        tell: Is given each window as it is judged.

    Raises:
        FlywheelError: As `monitoring.job.check`.
    """
    use_case = load_usecase(file)
    spans, results = list(due_spans(settings, use_case, since=since, as_of=as_of)), []
    for span in spans:
        newest = start_training and span == spans[-1]
        results.append(check(settings, Check(file, use_case, span, newest)))
        tell(span, results[-1])
    return results
