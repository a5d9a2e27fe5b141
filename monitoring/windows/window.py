"""One window of the prediction log: its answered predictions by event time, with the outcomes known by as_of.

Flows in: the log's tables. Flows out: a `Window` with one row for each answered prediction, and the counts that say
what is not among the labelled ones.
"""

from dataclasses import asdict, dataclass
from datetime import datetime

import polars as pl

from flywheel.errors import UsageError
from flywheel.records import answered, join_outcomes
from flywheel.serving import SAFE_DEFAULT
from flywheel.storage import PredictionLog
from flywheel.usecase import UseCase


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


def read_window(log: PredictionLog, use_case: UseCase, span: Span) -> Window:
    """Read one window.

    Predictions after the window are read as well, up to as_of: an outcome belongs to the last prediction of its
    entity, which may lie there.

    Args:
        log: The prediction log.
        use_case: Its name, its task, and how long after the event an outcome is due.
        span: Which window.
    """
    predictions = log.predictions(use_case.name, span.start, span.as_of)
    known = answered(predictions, log.requests(use_case.name)).filter(pl.col("answered"))
    outcome = pl.col("label" if use_case.task == "multiclass" else "outcome")
    outcomes = log.outcomes(use_case.name).filter(outcome.is_not_null())
    joined = join_outcomes(known, outcomes, span.as_of).filter(pl.col("event_time") < span.end)
    # Answers of the declared default say nothing about a model; an outcome that belongs to one belongs to no other.
    joined = joined.filter(pl.col("model_version") != SAFE_DEFAULT)
    rows = joined.with_columns(outcome.alias("outcome")).drop("label").sort("event_time")
    records = predictions.filter(pl.col("event_time") < span.end).height
    return Window(span, rows, count(rows, records, span.as_of - use_case.data.label.available_after))


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
