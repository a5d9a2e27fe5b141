"""A version's labelled rows are judged by what they are: days where rows share them, rows where they do not."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from monitoring.concept.days import Days
from monitoring.concept.finding import Verdict
from monitoring.concept.judgement import judge_losses
from monitoring.performance.measure import LOG_LOSS

START = datetime(2013, 4, 1)
DUE = START + timedelta(days=120)


def rows(per_day: int, rise: float, *, days: int = 120) -> pl.DataFrame:
    """Losses whose days differ, higher by `rise` from day 80 on, in no order."""
    random, day = np.random.default_rng(3), np.repeat(np.arange(days), per_day)
    loss = 0.5 + random.normal(0, 0.05, days)[day] + random.normal(0, 0.1, len(day)) + rise * (day >= 80)
    times = [START + timedelta(days=int(number), seconds=place) for place, number in enumerate(day)]
    return pl.DataFrame({"event_time": times, "loss": loss}).sample(fraction=1, shuffle=True, seed=1)


def judged(frame: pl.DataFrame, due: datetime = DUE) -> Days:
    return judge_losses(frame, LOG_LOSS, false_alarms_per_year=1.0, complete_before=due)


def test_rows_that_share_a_day_are_judged_by_days() -> None:
    found = judged(rows(100, 0.3))
    assert [alarm.verdict for alarm in found.alarms] == [Verdict.WORSE]
    assert found.alarms[0].reason.startswith("The log-loss rose from 0.4955")
    assert "80 days) to 0.8558" in found.alarms[0].reason
    assert judged(rows(100, 0.0)).newest.verdict == Verdict.STEADY


def test_one_row_a_day_is_judged_as_it_comes_with_the_same_budget() -> None:
    found = judged(rows(1, 0.6))
    assert [alarm.verdict for alarm in found.alarms] == [Verdict.WORSE]
    assert found.alarms[0].threshold == 365.25
    assert "after 2013-06-" in found.alarms[0].reason


def test_the_day_whose_outcomes_are_not_all_due_waits() -> None:
    frame = rows(100, 0.0)
    last = START + timedelta(days=119)
    early = frame.with_columns(pl.when(pl.col("event_time") >= last).then(50.0).otherwise("loss").alias("loss"))
    assert judged(early, last + timedelta(hours=12)) == judged(frame, last + timedelta(hours=12))
    assert judged(early).now.e_value > 1.5 * judged(frame).now.e_value
    assert judged(early).newest.verdict == Verdict.STEADY  # one odd day is no lasting change, however odd


def test_no_rows_are_no_fault() -> None:
    assert judged(rows(2, 0.0).clear()).newest.verdict == Verdict.LEARNING
