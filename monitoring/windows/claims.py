"""What is wrong with outcomes as they were reported: counted, so that somebody may ask who reports them."""

from dataclasses import asdict, dataclass
from datetime import timedelta

import polars as pl

from flywheel.records import EVENT

# Clocks that are further apart are not set by the same time.
SKEW = timedelta(minutes=1)
SAID = ["outcome", "label"]
FLAGS = ["unknown", "before", "repeated", "corrected", "contradictory", "skewed"]


@dataclass(frozen=True)
class Claims:
    """Reports of outcomes within the span that is still open, by what is odd about them; one may count several times.

    Args:
        reports: All of them.
        unknown: Of a prediction or an entity that nobody was answered about.
        before: Of an event before the prediction was made: by its id, or before the entity's first.
        repeated: That say what was said of the same event before.
        corrected: That say something else of the same event, later.
        contradictory: That say something else of the same event, known at the same time.
        skewed: Known after the log took them, by more than a minute, or before their own event.
    """

    reports: int = 0
    unknown: int = 0
    before: int = 0
    repeated: int = 0
    corrected: int = 0
    contradictory: int = 0
    skewed: int = 0

    def body(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


def claims_of(outcomes: pl.DataFrame, answers: pl.DataFrame) -> Claims:
    """Count.

    Args:
        outcomes: Reports (n, …) with the columns of `flywheel.records.OUTCOMES` and `recorded_time`.
        answers: Answered predictions (m, …) with `prediction_id`, `entity` and `event_time`.
    """
    return Claims(outcomes.height, **_sums(flagged(outcomes, answers).select(FLAGS)))


def flagged(outcomes: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Return the reports (n, …) with a flag for each way to be odd, in order of the time known; see `claims_of`."""
    first = answers.group_by("entity").agg(pl.col("event_time").min().alias("first")).drop_nulls("entity")
    ids = answers.select("prediction_id", made="event_time").unique("prediction_id")
    held = outcomes.join(ids, on="prediction_id", how="left").join(first, on="entity", how="left")
    named = pl.col("prediction_id").is_not_null()
    since = pl.when(named).then("made").otherwise("first")
    known = held.with_columns(
        unknown=since.is_null(),
        before=(pl.col("event_time") < since).fill_null(value=False),
        skewed=(pl.col("time_known") > pl.col("recorded_time") + SKEW).fill_null(value=False)
        | (pl.col("time_known") < pl.col("event_time")).fill_null(value=False),
    )
    return _against_earlier(known)


def _against_earlier(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Hold each report against the one before it of the same event, in order of the time known."""
    ordered = outcomes.sort("time_known", *SAID, nulls_last=True)
    known = pl.col("time_known")
    before = ordered.with_columns(
        pl.col(name).shift(1).over(EVENT).alias(f"last_{name}") for name in (*SAID, "time_known")
    ).with_columns(again=pl.int_range(pl.len()).over(EVENT) > 0)
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"last_{name}")) for name in SAID)
    at_once = known == pl.col("last_time_known")
    again = pl.col("again")
    return before.with_columns(
        repeated=again & same, corrected=again & ~same & ~at_once, contradictory=again & ~same & at_once
    )


def _sums(flags: pl.DataFrame) -> dict[str, int]:
    return {name: int(flags[name].sum()) for name in flags.columns}
