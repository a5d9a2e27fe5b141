"""From a version's labelled rows to what its losses say, its test rows before them where these are at hand."""

from datetime import datetime

import polars as pl

from monitoring.concept.days import NO_DAYS, Days, judge_days
from monitoring.performance.measure import Measure
from monitoring.performance.realised import by_day


def judge_losses(
    labelled: pl.DataFrame,
    measure: Measure,
    *,
    false_alarms_per_year: float,
    complete_before: datetime,
    tested: pl.DataFrame | None = None,
) -> Days:
    """Judge all losses of one version so far, from its first day on; the same rows give the same alarms.

    Args:
        labelled: n_rows of one version with `event_time` and `loss` (never null).
        measure: The loss.
        false_alarms_per_year: At most so many on average.
        complete_before: Naive UTC: outcomes are due of all that happened before. The day in which it lies waits, as
            outcomes that come early are not like those that come late.
        tested: The same of all its test rows; those that are not earlier than the first live row are left out.
    """
    day = pl.col("event_time").dt.date()
    daily = by_day(labelled.filter(day < complete_before.date()), "loss")
    before = NO_DAYS if tested is None else by_day(tested, "loss")
    if daily.height:
        before = before.filter(pl.col("day") < daily["day"].item(0))
    return judge_days(daily, measure.title.lower(), false_alarms_per_year, tested=before)
