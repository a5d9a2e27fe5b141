"""Which outcome belongs to which answer, as the log brings them, each answer once. Pure.

The rule is that of `flywheel.records.join_outcomes`: an outcome that names a prediction joins that one, else its
entity's last answered prediction at or before the outcome's event. An answer's first known outcome counts; what is
reported of it later, a correction or another event, is not evidence a second time.
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from flywheel.meeting import among, shared, without

AT, NUMBER = "_at", "_number"
SAID = ["outcome", "label", "outcome_time", "time_known", "took"]


@dataclass(frozen=True)
class Learned:
    """After the new rows.

    Args:
        learned: Answers that have an outcome now, with `outcome` and `label`.
        known: Of each answer, whether it has its outcome.
        waiting: Outcomes whose answer is not there yet.
    """

    learned: pl.DataFrame
    known: pl.Series
    waiting: pl.DataFrame


def learn(
    answers: pl.DataFrame, fresh: int, waiting: pl.DataFrame, new: pl.DataFrame, horizon: timedelta | None
) -> Learned:
    """Join outcomes and answers, of which at least one is new.

    Args:
        answers: (n, …) with `known`, the new ones last.
        fresh: How many of them are new.
        waiting: Outcomes that found nothing among the answers before.
        new: Outcomes that are new.
        horizon: An outcome that the log took so much later than the answer does not count.
    """
    if new.is_empty() and (waiting.is_empty() or not fresh):
        nothing = answers.clear().with_columns(outcome=pl.lit(None, pl.Float64), label=pl.lit(None, pl.String))
        return Learned(nothing, answers["known"], waiting)
    places = answers.with_row_index(AT)
    numbered = pl.concat([waiting, new]).with_row_index(NUMBER)
    found = pl.concat(
        [_found(numbered.tail(new.height), places), _found(numbered.head(waiting.height), places.tail(fresh))]
    )
    left = without(numbered.drop(NUMBER), found[NUMBER])
    if horizon is not None:  # by the log's own clocks; outcomes of before these were kept have none
        found = found.filter((pl.col("took") - pl.col("recorded_time") <= horizon).fill_null(value=True))
    found = found.filter(~pl.col("known"))
    found = found.sort("direct", "outcome_time", "time_known", descending=[True, False, True])
    first = found.unique(AT, keep="first").sort(AT)
    known = answers["known"] | among(answers.height, first[AT])
    return Learned(first.select(*answers.columns, "outcome", "label"), known, left)


def _found(outcomes: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Return each outcome with its answer's columns, where there is one."""
    said = outcomes.rename({"event_time": "outcome_time", "recorded_time": "took"})
    named = _of(said.filter(pl.col("prediction_id").is_not_null()), answers, "prediction_id", "entity")
    keyed = said.filter(pl.col("prediction_id").is_null() & pl.col("entity").is_not_null())
    theirs = _of(keyed, answers, "entity", "prediction_id").filter(pl.col("event_time") <= pl.col("outcome_time"))
    last = theirs.sort("event_time", "recorded_time", "prediction_id").unique(NUMBER, keep="last", maintain_order=True)
    columns = [NUMBER, *answers.columns, *SAID, "direct"]
    both = (named.with_columns(direct=pl.lit(1)), last.with_columns(direct=pl.lit(0)))
    return pl.concat([part.select(columns) for part in both])


def _of(outcomes: pl.DataFrame, answers: pl.DataFrame, key: str, other: str) -> pl.DataFrame:
    """Join by one of the two keys; a look without any such outcome does not go through all answers."""
    there = shared(answers, outcomes, [key])[0] if outcomes.height else answers.clear()
    return outcomes.drop(other).join(there, on=key, how="inner")
