"""One window of the prediction log: its answered predictions by event time, with the outcomes known by as_of.

Flows in: the log's tables. Flows out: a `Window` with one row for each answered prediction, and the counts that say
what is not among the labelled ones.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from flywheel.errors import UsageError
from flywheel.records import answered, join_outcomes, prediction_schema
from flywheel.serving import SAFE_DEFAULT
from flywheel.storage import PredictionLog, reading
from flywheel.usecase import UseCase

Clock = Literal["event", "known"]


@dataclass(frozen=True)
class Span:
    """From `start` (included) to `end` (excluded) in event time, as known at `as_of`; naive UTC."""

    start: datetime
    end: datetime
    as_of: datetime

    def __post_init__(self) -> None:
        """Refuse an empty window, and one that is not over yet."""
        if self.end <= self.start:
            raise UsageError(
                f"The window ends at {self.end}, not after its start {self.start}. Correct --start or --end."
            )
        if self.as_of < self.end:
            raise UsageError(f"--as-of {self.as_of} lies before the window's end {self.end}. Give a later time.")

    def __str__(self) -> str:
        """Say the window in words, for titles."""
        return f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"


@dataclass(frozen=True)
class Counts:
    """What became of the records of a window.

    Attributes:
        records: Attempts recorded, answered or not.
        answered: Predictions of a model that a client got; the sum of the three below.
        labelled: Their outcome is known by as_of.
        pending: No outcome yet, and none is due yet.
        censored: No outcome although it was due.
    """

    records: int
    answered: int
    labelled: int
    pending: int
    censored: int

    def body(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


@dataclass(frozen=True)
class Window:
    """The answered predictions of a span: the record's columns, and `outcome` (null: not known).

    An outcome is the name of a class for multiclass, else a number.
    """

    span: Span
    rows: pl.DataFrame
    counts: Counts

    @property
    def labelled(self) -> pl.DataFrame:
        """The rows whose outcome is known."""
        return self.rows.filter(pl.col("outcome").is_not_null())


@dataclass(frozen=True)
class History:
    """Answers with their outcomes as known at one time, read once, so that any number of windows are cut from them.

    Attributes:
        since: The first event time that was read.
        as_of: What was known then (naive UTC).
        rows: Answered predictions in order of event time, as in `Window`.
        attempted: Event times of all attempts, answered or not.
        due_before: Events up to this time should have their outcome.
        next_known: When the first thing is known that is in the log and was left out; None where there is none.
    """

    since: datetime
    as_of: datetime
    rows: pl.DataFrame
    attempted: pl.Series
    due_before: datetime
    next_known: datetime | None

    def window(self, start: datetime, end: datetime) -> Window:
        """Cut the window of events from `start` (included) to `end` (excluded), of which none lies before `since`."""
        rows = self.rows.filter(pl.col("event_time").is_between(start, end, closed="left"))
        records = int(self.attempted.is_between(start, end, closed="left").sum())
        return Window(Span(start, end, self.as_of), rows, count(rows, records, self.due_before))


def read_history(log: PredictionLog, use_case: UseCase, since: datetime, as_of: datetime) -> History:
    """Read what was answered from `since` on, with outcomes as known at `as_of` (naive UTC).

    Raises:
        StackError: The log cannot be read.
    """
    with reading(use_case.name):
        predictions = log.predictions(use_case.name, since, as_of)
        reported = log.outcomes(use_case.name)
        later = log.scan(use_case.name, "predictions", prediction_schema(None)).filter(pl.col("event_time") >= as_of)
        waiting = [
            later.select(pl.col("event_time").min()).collect().item(),
            reported.filter(pl.col("time_known") > as_of)["time_known"].min(),
        ]
    rows = _joined(log, use_case, predictions, as_of, reported).sort("event_time", maintain_order=True)
    next_known = min((one for one in waiting if one is not None), default=None)
    due_before = as_of - use_case.data.label.available_after
    return History(since, as_of, rows, predictions["event_time"], due_before, next_known)


def newest_answer(log: PredictionLog, use_case: UseCase, as_of: datetime) -> datetime | None:
    """Return the event time of the newest record before `as_of` (naive UTC); None without any.

    Raises:
        StackError: The log cannot be read.
    """
    with reading(use_case.name):
        records = log.scan(use_case.name, "predictions", prediction_schema(None)).filter(pl.col("event_time") < as_of)
        newest = records.select(pl.col("event_time").max()).collect().item()
    return newest if isinstance(newest, datetime) else None


def read_window(log: PredictionLog, use_case: UseCase, span: Span, *, by: Clock = "event") -> Window:
    """Read one window.

    Args:
        log: The prediction log.
        use_case: Its name, its task, and how long after the event an outcome is due.
        span: Which window.
        by: Whether it holds the predictions of events in the span, or those whose outcome became known in it.

    Raises:
        StackError: The log cannot be read.
    """
    if by == "event":
        return read_history(log, use_case, span.start, span.as_of).window(span.start, span.end)
    with reading(use_case.name):
        predictions = log.predictions(use_case.name, None, span.as_of)
    known = pl.col("time_known").is_between(span.start, span.end, closed="left")
    rows = _joined(log, use_case, predictions, span.as_of).filter(known).sort("time_known", "event_time")
    return Window(span, rows, count(rows, rows.height, span.as_of - use_case.data.label.available_after))


def _joined(
    log: PredictionLog,
    use_case: UseCase,
    predictions: pl.DataFrame,
    as_of: datetime,
    reported: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return the answers of models among predictions, with their outcomes, which are read unless they are given.

    Predictions after a window belong to it as well: an outcome belongs to the last prediction of its entity, which may
    lie there.
    """
    with reading(use_case.name):
        requests = log.requests(use_case.name)
        reported = log.outcomes(use_case.name) if reported is None else reported
    known = answered(predictions, requests).filter(pl.col("answered"))
    outcome = pl.col("label" if use_case.task == "multiclass" else "outcome")
    outcomes = reported.filter(outcome.is_not_null())
    joined = join_outcomes(known, outcomes, as_of)
    # Answers of the declared default say nothing about a model; an outcome that belongs to one belongs to no other.
    joined = joined.filter(pl.col("model_version") != SAFE_DEFAULT)
    return joined.with_columns(outcome.alias("outcome")).drop("label")


def count(rows: pl.DataFrame, records: int, due_before: datetime) -> Counts:
    """Count answered rows by what is known of them.

    Args:
        rows: Answered predictions with `event_time` and `outcome`.
        records: All attempts of the window.
        due_before: Events up to this time should have their outcome.
    """
    unknown = rows.filter(pl.col("outcome").is_null())
    censored = unknown.filter(pl.col("event_time") <= due_before).height
    return Counts(records, rows.height, rows.height - unknown.height, unknown.height - censored, censored)
