"""From a version's labelled rows to what its losses say: by days where rows share them, by row where they do not."""

from datetime import datetime

import numpy as np
import polars as pl

from monitoring.concept.days import DAYS_A_YEAR, Days, day_numbers, judge_days, plan_by_day, tell_day
from monitoring.concept.effects import Plan
from monitoring.concept.losses import LossTest
from monitoring.performance.measure import Measure
from monitoring.performance.realised import by_day

SHARED = 2.0  # rows a day from which on they share it


def judge_losses(
    labelled: pl.DataFrame, measure: Measure, *, false_alarms_per_year: float, complete_before: datetime
) -> Days:
    """Judge all losses of one version so far, from its first day on; the same rows give the same alarms.

    Args:
        labelled: n_rows of one version with `event_time` and `loss` (never null).
        measure: The loss.
        false_alarms_per_year: At most so many on average.
        complete_before: Naive UTC: outcomes are due of all that happened before. The day in which it lies waits, as
            outcomes that come early are not like those that come late.
    """
    day = pl.col("event_time").dt.date()
    rows = labelled.filter(day < complete_before.date()).sort("event_time")
    daily, name = by_day(rows, "loss"), measure.title.lower()
    if not daily.height or rows.height >= SHARED * daily.height:
        return judge_days(daily, plan_by_day(name, false_alarms_per_year))
    span = (daily["day"].max() - daily["day"].min()).days + 1  # type: ignore[operator,union-attr]
    per_alarm = DAYS_A_YEAR / false_alarms_per_year * rows.height / span
    test = LossTest(Plan(per_false_alarm=max(per_alarm, 1.0), whiten=True, name=name), told=tell_day)
    losses = np.asarray(rows["loss"].cast(pl.Float64).to_numpy(), dtype=np.float64)
    return Days(test.observe(losses, day_numbers(rows["event_time"].dt.date())), test.finding())
