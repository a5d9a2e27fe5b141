"""Days are the unit where rows of a day resemble each other."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.concept_drift_small import BUDGET, LIVE, Small
from monitoring.concept.days import DAYS_A_YEAR, LEAST_ROWS, USUAL_DAYS, judge_days, least_rows, plan_by_day, pooled
from monitoring.concept.finding import Mean, Verdict
from monitoring.concept.losses import LossTest

FIRST = date(2013, 4, 1)


def daily(means: list[float], rows: int = 100) -> pl.DataFrame:
    days = [FIRST + timedelta(days=number) for number in range(len(means))]
    return pl.DataFrame({"day": days, "rows": [rows] * len(means), "total": [mean * rows for mean in means]})


def test_a_rise_is_dated_by_the_day() -> None:
    means = np.random.default_rng(1).normal(0.5, 0.02, 120)
    means[90:] += 0.1
    days = judge_days(daily(means.tolist()), "log-loss", 1.0)
    assert days.newest.verdict == Verdict.WORSE
    assert days.newest.since_mark is not None
    assert abs(days.newest.since_mark - (FIRST + timedelta(days=89) - date(1970, 1, 1)).days) <= 3
    assert "The log-loss rose from 0.4985" in days.newest.reason
    assert "after 2013-06-2" in days.newest.reason
    assert "at most one false alarm in 365 days, on average" in days.newest.reason
    assert days.body()["alarms"][0]["verdict"] == "worse"


def test_steady_days_say_how_things_stand() -> None:
    days = judge_days(daily(np.random.default_rng(3).normal(0.5, 0.02, 60).tolist()), "log-loss", 0.1)
    assert days.alarms == ()
    assert days.newest.verdict == Verdict.STEADY
    assert days.newest.reason.startswith("The log-loss keeps at 0.4997 (0.49")


def test_too_few_days_say_from_when_on_there_are_enough() -> None:
    thin = daily(np.random.default_rng(3).normal(0.5, 0.02, 40).tolist(), rows=1)[::2]  # a row every second day
    (said,) = [judge_days(thin, "log-loss", 1.0).newest]
    assert said.verdict == Verdict.LEARNING
    assert said.reason == (
        "20 days are too few to know what log-loss is usual: 32 are needed. That will be about 2013-06-02."
    )


def test_test_rows_let_the_first_live_days_be_judged_and_their_own_changes_are_no_news() -> None:
    random = np.random.default_rng(5)
    means = random.normal(0.5, 0.1, 140)
    means[120:] += 0.5
    days = daily(means.tolist(), rows=3)
    tested, live = days.head(110), days.tail(30)
    found = judge_days(live, "log-loss", 0.2, tested=tested)
    assert [alarm.verdict for alarm in found.alarms] == [Verdict.WORSE]
    assert found.tested == 110
    assert judge_days(live, "log-loss", 0.2).newest.verdict == Verdict.LEARNING
    assert judge_days(days.tail(3), "log-loss", 0.2, tested=days.head(137)).alarms == ()


@pytest.mark.parametrize("rows", [1, 5, 20])
def test_streams_of_few_rows_a_day_keep_the_budget_from_the_fit_to_the_alarm(rows: int) -> None:
    streams, cases = 12, [Small("binary", rows), Small("regression", rows)]
    alarms = sum(len(case.alarms(5_000 + stream, change=False)) for case in cases for stream in range(streams))
    expected = BUDGET * LIVE / DAYS_A_YEAR * streams * len(cases)
    assert alarms <= expected + 3 * np.sqrt(expected)
    delays = [case.delay(5_000 + stream) for case in cases for stream in range(6)]
    assert float(np.median(delays)) <= {1: 365, 5: 90, 20: 30}[rows]


def test_no_mean_of_losses_has_an_interval_below_zero() -> None:
    random = np.random.default_rng(2)
    (seldom,) = [judge_days(daily((random.exponential(0.05, 40) ** 4).tolist(), rows=1), "log-loss", 0.1).now]
    assert seldom.before.mean is not None
    assert seldom.before.low is not None
    assert 0 < seldom.before.low < seldom.before.mean


@given(st.floats(0, 1e6), st.floats(0, 1e9))
def test_an_interval_above_zero_holds_the_mean(mean: float, half: float) -> None:
    found = Mean(10, mean, mean - half, mean + half).above_zero()
    assert found.low is not None
    assert found.high is not None
    assert found.mean == mean
    assert found.low <= mean <= found.high or mean == 0
    assert found.low >= 0 or mean == 0


def test_a_usual_day_is_counted_from_the_first_ones() -> None:
    assert least_rows(daily([0.5] * 40, rows=1)) == 1
    assert least_rows(daily([0.5] * 40, rows=9)) == 4
    assert least_rows(daily([0.5] * 40, rows=900)) == LEAST_ROWS
    few, many = daily([0.5] * USUAL_DAYS, rows=8), daily([0.5] * 400, rows=5_000)
    assert least_rows(pl.concat([few, many])) == 4


def test_no_days_are_no_fault() -> None:
    assert judge_days(daily([]), "log-loss", 1.0).newest.verdict == Verdict.LEARNING


def test_rows_that_share_their_day_make_a_test_by_row_cry_wolf() -> None:
    random, by_row, by_day = np.random.default_rng(8), 0, 0
    for _ in range(20):
        rates = 1 / (1 + np.exp(1.4 - random.normal(0, 0.4, 365)))
        rows = (random.random((365, 100)) < rates[:, None]).astype(np.float64)
        by_row += len(LossTest(plan_by_day("error rate", 0.01)).observe(rows.ravel()))  # a hundredth as many allowed
        by_day += len(judge_days(daily(rows.mean(axis=1).tolist()), "error rate", 1.0).alarms)
    assert by_row > 100
    assert by_day <= 20


@given(st.lists(st.integers(1, 60), max_size=40))
def test_pooling_loses_no_row_but_those_that_wait_for_more(rows: list[int]) -> None:
    days = [FIRST + timedelta(days=number) for number in range(len(rows))]
    frame = pl.DataFrame(
        {"day": days, "rows": rows, "total": [float(count) for count in rows]},
        schema={"day": pl.Date, "rows": pl.Int64, "total": pl.Float64},
    )
    blocks = pooled(frame, LEAST_ROWS)
    assert all(count >= LEAST_ROWS for count in blocks["rows"])
    assert 0 <= sum(rows) - int(blocks["rows"].sum()) < LEAST_ROWS
    assert blocks["total"].to_list() == pytest.approx(blocks["rows"].to_list())
    assert blocks["day"].is_sorted()
