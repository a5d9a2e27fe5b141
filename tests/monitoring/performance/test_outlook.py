"""Windows are estimated from what was known when they began, and from nothing later."""

from datetime import datetime, timedelta

import numpy as np
import orjson
import polars as pl
import pytest

from flywheel.statistics import row_losses
from monitoring.performance.outlook import Outlook, outlooks

START = datetime(2013, 4, 1)
WEEK = timedelta(days=7)
SPANS = [(START + WEEK * number, START + WEEK * (number + 1)) for number in range(8)]
ROWS = 600


def history(meaning: list[float], *, delay: timedelta = timedelta(days=1)) -> pl.DataFrame:
    """Eight weeks of answers; each week's outcomes follow the scores, moved by `meaning` on the logit."""
    random = np.random.default_rng(1)
    week = np.repeat(np.arange(len(meaning)), ROWS)
    logit = random.normal(0, 1, len(week))
    outcome = (random.random(len(week)) < 1 / (1 + np.exp(-(logit + np.array(meaning)[week])))).astype(np.float64)
    score = 1 / (1 + np.exp(-logit))
    times = [START + WEEK * (number / ROWS) for number in range(len(week))]
    return pl.DataFrame(
        {
            "event_time": pl.Series(times, dtype=pl.Datetime("us")),
            "time_known": pl.Series([time + delay for time in times], dtype=pl.Datetime("us")),
            "model_version": "1",
            "prediction": score,
            "outcome": outcome,
            "loss": row_losses("binary", outcome, score),
        }
    )


SAMPLE = history([0.0]).with_columns(pl.col("event_time") - WEEK).drop("time_known")


def errors(found: tuple[Outlook, ...], metric: str = "accuracy") -> list[float]:
    return [abs(one.forecasts[metric].value - one.realised[metric].value) for one in found]


def test_steady_windows_are_estimated_well_and_soon_trusted() -> None:
    found = outlooks(history([0.0] * 8), SPANS, SAMPLE, "binary")
    assert max(errors(found)) < 0.05
    assert [one.rows for one in found] == [ROWS] * 8
    assert not found[0].forecasts["roc_auc"].trusted
    assert orjson.loads(orjson.dumps(found[7].body()))["forecasts"]["roc_auc"]["windows"] == 7


def test_after_a_change_the_estimate_learns_the_new_meaning() -> None:
    found = errors(outlooks(history([0.0] * 3 + [2.0] * 5), SPANS, SAMPLE, "binary"), "log_loss")
    assert found[3] > 0.1  # nobody could know
    assert found[7] < found[3] / 2


def test_what_becomes_known_later_changes_no_estimate() -> None:
    rows = history([0.0] * 3 + [2.0] * 5)
    future = pl.col("time_known") > SPANS[5][0]
    other = rows.with_columns(pl.when(future).then(1 - pl.col("outcome")).otherwise("outcome").alias("outcome"))
    before, after = (outlooks(one, SPANS, SAMPLE, "binary") for one in (rows, other))
    for left, right in zip(before[:6], after[:6], strict=True):
        assert left.forecasts == right.forecasts
    assert before[7].forecasts != after[7].forecasts


def test_outcomes_that_come_late_are_not_used_before_they_do() -> None:
    late = outlooks(history([2.0] * 8, delay=timedelta(days=400)), SPANS, SAMPLE, "binary")
    assert [one.forecasts["accuracy"].windows for one in late] == [0] * 8
    assert late[7].forecasts["accuracy"].value == pytest.approx(late[0].forecasts["accuracy"].value, abs=0.05)


def test_outcomes_not_there_at_all_leave_the_estimate_standing_alone() -> None:
    rows = history([0.0] * 8).with_columns(
        pl.when(pl.col("event_time") < SPANS[6][0]).then("time_known").alias("time_known")
    )
    newest = outlooks(rows, SPANS, SAMPLE, "binary")[7]
    assert newest.realised == {}
    assert newest.forecasts["roc_auc"].windows == 6


def test_a_change_of_concept_takes_the_trust_away_until_it_is_learned() -> None:
    rows, change = history([0.0] * 8), SPANS[4][0] + timedelta(days=3)
    steady = outlooks(rows, SPANS, SAMPLE, "binary")
    found = outlooks(rows, SPANS, SAMPLE, "binary", changes=[change])
    said = [one.forecasts["brier"].reason for one in found]
    assert ["since 2013-05-02" in reason for reason in said] == [False] * 4 + [True, True, False, False]
    assert found[7].forecasts == steady[7].forecasts


def test_windows_without_answers_are_empty_and_no_fault() -> None:
    (found,) = outlooks(history([0.0]), [(START + 20 * WEEK, START + 21 * WEEK)], SAMPLE, "binary")
    assert (found.rows, found.forecasts, found.realised) == (0, {}, {})
