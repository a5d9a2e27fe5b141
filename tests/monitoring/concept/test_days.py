"""Days are the unit where rows of a day resemble each other."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.concept.days import LEAST_ROWS, judge_days, plan_by_day, pooled
from monitoring.concept.finding import Verdict
from monitoring.concept.losses import LossTest

FIRST = date(2013, 4, 1)


def daily(means: list[float], rows: int = 100) -> pl.DataFrame:
    days = [FIRST + timedelta(days=number) for number in range(len(means))]
    return pl.DataFrame({"day": days, "rows": [rows] * len(means), "total": [mean * rows for mean in means]})


def test_a_rise_is_dated_by_the_day() -> None:
    means = np.random.default_rng(1).normal(0.5, 0.02, 120)
    means[90:] += 0.1
    days = judge_days(daily(means.tolist()), plan_by_day("log-loss", 1.0))
    assert days.newest.verdict == Verdict.WORSE
    assert days.newest.since_mark is not None
    assert abs(days.newest.since_mark - (FIRST + timedelta(days=89) - date(1970, 1, 1)).days) <= 3
    assert "The log-loss rose from 0.4985" in days.newest.reason
    assert "after 2013-06-2" in days.newest.reason
    assert "at most one false alarm in 365 days, on average" in days.newest.reason
    assert days.body()["alarms"][0]["verdict"] == "worse"


def test_steady_days_say_how_things_stand() -> None:
    days = judge_days(daily(np.random.default_rng(3).normal(0.5, 0.02, 60).tolist()), plan_by_day("log-loss", 0.1))
    assert days.alarms == ()
    assert days.newest.verdict == Verdict.STEADY
    assert days.newest.reason.startswith("The log-loss keeps at 0.4997 (0.49")


def test_no_days_are_no_fault() -> None:
    assert judge_days(daily([]), plan_by_day("log-loss", 1.0)).newest.verdict == Verdict.LEARNING


def test_rows_that_share_their_day_make_a_test_by_row_cry_wolf() -> None:
    random, by_row, by_day = np.random.default_rng(8), 0, 0
    for _ in range(20):
        rates = 1 / (1 + np.exp(1.4 - random.normal(0, 0.4, 365)))
        rows = (random.random((365, 100)) < rates[:, None]).astype(np.float64)
        plan = plan_by_day("error rate", 1.0)
        by_row += len(LossTest(plan_by_day("error rate", 0.01)).observe(rows.ravel()))  # a hundredth as many allowed
        by_day += len(judge_days(daily(rows.mean(axis=1).tolist()), plan).alarms)
    assert by_row > 100
    assert by_day <= 20


@given(st.lists(st.integers(1, 60), max_size=40))
def test_pooling_loses_no_row_but_those_that_wait_for_more(rows: list[int]) -> None:
    days = [FIRST + timedelta(days=number) for number in range(len(rows))]
    frame = pl.DataFrame(
        {"day": days, "rows": rows, "total": [float(count) for count in rows]},
        schema={"day": pl.Date, "rows": pl.Int64, "total": pl.Float64},
    )
    blocks = pooled(frame)
    assert all(count >= LEAST_ROWS for count in blocks["rows"])
    assert 0 <= sum(rows) - int(blocks["rows"].sum()) < LEAST_ROWS
    assert blocks["total"].to_list() == pytest.approx(blocks["rows"].to_list())
    assert blocks["day"].is_sorted()
