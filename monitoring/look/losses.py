"""The champion's losses day by day: has the relation between inputs and outcomes changed?"""

from datetime import datetime, timedelta

import polars as pl

from monitoring.concept.days import Days, judge_days, plan_by_day
from monitoring.performance.measure import Measure
from monitoring.performance.realised import by_day

MEMORY = timedelta(days=180)  # of losses that are judged; what a use case has forgotten costs it nothing


def judge_losses(
    rows: pl.DataFrame, measure: Measure, *, delay: timedelta, as_of: datetime, false_alarms_per_year: float
) -> Days:
    """Judge the days of one version whose outcomes have all had their time to come.

    Args:
        rows: Its labelled rows (n_rows) by `event_time` and `loss`, none of them null.
        measure: The loss.
        delay: How long after its event an outcome is due.
        as_of: Naive UTC.
        false_alarms_per_year: At most so many.
    """
    whole = (as_of - delay).replace(hour=0, minute=0, second=0, microsecond=0)
    daily = by_day(rows.filter(pl.col("event_time") < whole), "loss")
    return judge_days(daily, plan_by_day(measure.title, false_alarms_per_year))
