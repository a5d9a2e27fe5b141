"""Metrics are the usual ones, and their intervals hold where rows of a day resemble each other."""

import math
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from flywheel.statistics import Floats, row_losses
from flywheel.usecase import Costs
from monitoring.performance.metrics import auc_influence, metrics_by, realised_metrics

START = datetime(2013, 4, 1)
TRUE_AREA = 0.7602  # of the world below: Φ(1/√2)


def frame(probability: Floats, outcome: Floats, days: npt.NDArray[np.integer]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "event_time": [START + timedelta(days=int(day)) for day in days],
            "prediction": probability,
            "outcome": outcome,
            "loss": row_losses("binary", outcome, probability),
        }
    )


def world(random: np.random.Generator, days: int = 30, rows: int = 40, effect: float = 0.0) -> pl.DataFrame:
    """Scores of 1 lie one standard deviation above those of 0; a day moves all of its scores and its share of 1."""
    day = np.repeat(np.arange(days), rows)
    share = 1 / (1 + np.exp(0.8 - random.normal(0, 2 * effect, days)))
    outcome = (random.random(days * rows) < share[day]).astype(np.float64)
    score = outcome + random.normal(0, 1, days * rows) + random.normal(0, effect, days)[day]
    return frame(1 / (1 + np.exp(-score)), outcome, day)


def test_metrics_of_classes_are_the_usual_ones() -> None:
    rows = world(np.random.default_rng(1))
    found = realised_metrics(rows, "binary", Costs(false_positive=1, false_negative=3))
    outcome, probability = rows["outcome"].to_numpy(), rows["prediction"].to_numpy()
    decided = probability >= 0.5
    assert found["roc_auc"].value == pytest.approx(roc_auc_score(outcome, probability))
    assert found["brier"].value == pytest.approx(brier_score_loss(outcome, probability))
    assert found["accuracy"].value == pytest.approx((decided == (outcome > 0.5)).mean())
    assert found["calibration"].value == pytest.approx(probability.mean() - outcome.mean())
    assert found["cost"].value == pytest.approx(((decided & (outcome < 0.5)) + 3 * (~decided & (outcome > 0.5))).mean())
    assert (found["log_loss"].rows, found["log_loss"].days) == (1200, 30)


def test_metrics_of_numbers_are_the_usual_ones() -> None:
    random = np.random.default_rng(2)
    rows = world(random).with_columns(prediction=pl.lit(2.0), outcome=pl.Series(random.normal(3, 4, 1200)))
    found = realised_metrics(rows, "regression")
    error = 2 - rows["outcome"].to_numpy()
    assert found["rmse"].value == pytest.approx(math.sqrt((error**2).mean()))
    assert found["mae"].value == pytest.approx(np.abs(error).mean())
    assert found["bias"].value == pytest.approx(error.mean())
    assert found["rmse"].low is not None
    assert found["rmse"].high is not None
    assert found["rmse"].low < found["rmse"].value < found["rmse"].high


@pytest.mark.parametrize("effect", [0.0, 0.5])
def test_intervals_miss_the_truth_about_five_times_in_a_hundred_whatever_the_day_effect(effect: float) -> None:
    missed = {"calibration": 0, "roc_auc": 0}
    random = np.random.default_rng(3)
    large = [realised_metrics(world(random, days=400, effect=effect), "binary") for _ in range(20)]
    truth = {name: float(np.mean([found[name].value for found in large])) for name in missed}
    for _ in range(300):
        found = realised_metrics(world(random, effect=effect), "binary")
        for name in missed:
            low, high = found[name].low, found[name].high
            assert low is not None
            assert high is not None
            missed[name] += not low <= truth[name] <= high
    assert truth["roc_auc"] == pytest.approx(TRUE_AREA, abs=0.005) or effect
    assert all(0.02 < count / 300 < 0.09 for count in missed.values()), missed


def test_an_interval_by_rows_would_be_far_too_narrow_there() -> None:
    rows = world(np.random.default_rng(3), effect=0.5)
    by_day, by_row = (
        realised_metrics(part, "binary")["calibration"]
        for part in (rows, rows.with_columns(pl.Series("event_time", [START + timedelta(days=n) for n in range(1200)])))
    )
    assert by_day.high is not None
    assert by_row.high is not None
    assert by_day.high - by_day.value > 2 * (by_row.high - by_row.value)


def test_one_class_or_one_day_leaves_out_what_cannot_be_known() -> None:
    rows = world(np.random.default_rng(1)).filter(pl.col("outcome") == 0)
    assert "roc_auc" not in realised_metrics(rows, "binary")
    one = realised_metrics(rows.head(10), "binary")["log_loss"]
    assert (one.low, one.high, one.days) == (None, None, 1)
    assert realised_metrics(rows.head(0), "binary") == {}


def test_versions_and_arms_are_measured_apart() -> None:
    rows = world(np.random.default_rng(1)).with_columns(arm=pl.when(pl.int_range(pl.len()) < 1000).then(pl.lit("main")))
    found = metrics_by(rows, "arm", "binary")
    assert list(found) == ["main", "none"]
    assert found["none"]["log_loss"].value == pytest.approx(rows.tail(200)["loss"].mean())


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30))
@settings(deadline=None)
def test_the_influence_on_the_area_is_what_leaving_a_row_out_does(rows: list[tuple[bool, int]]) -> None:
    positive, score = np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows])
    found = auc_influence(positive, score)
    if positive.all() or not positive.any():
        assert found is None
        return
    assert found is not None
    area, influence = found
    assert area == pytest.approx(roc_auc_score(positive, score))
    assert influence.sum() == pytest.approx(0, abs=1e-9)
    same = np.flatnonzero(positive == positive[0])
    if len(same) > 1:
        without = auc_influence(np.delete(positive, 0), np.delete(score, 0))
        assert without is not None
        assert without[0] - area == pytest.approx(-influence[0] * len(same) / (len(same) - 1), abs=1e-9)
