"""Fast resampled metrics against their definitions, and intervals against the share of the truth that they hold."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.evaluation.bootstrap import draw, interval
from training.evaluation.clusters import cluster
from training.metrics import METRICS


def rows_of(task: Task, rows: int, random: np.random.Generator) -> tuple[Floats, Floats]:
    if task == "regression":
        label = random.normal(loc=1e6, size=rows)
        return label, label + random.normal(size=rows)
    if task == "multiclass":
        return random.integers(0, 4, rows).astype(np.float64), random.dirichlet(np.ones(4), rows)
    prediction = random.random(rows).round(2)  # with ties
    return (random.random(rows) < prediction).astype(np.float64), prediction


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), days=st.integers(1, 30))
def test_every_metric_of_a_resample_is_the_metric_of_its_rows(task: Task, seed: int, days: int) -> None:
    random = np.random.default_rng(seed)
    label, prediction = rows_of(task, 120, random)
    drawn = draw(cluster(random.integers(0, days, 120), seed), 3, seed)
    found = drawn.scores(task, label, prediction)
    for metric in METRICS[task]:
        for index, times in enumerate(drawn.weights.astype(int)):
            rows = np.repeat(np.arange(120), times[drawn.clusters.code])
            expected = metric.measure(label[rows], prediction[rows])
            assert np.isclose(found.drawn[metric.name][index], expected, rtol=1e-6, equal_nan=True), metric.name


def test_intervals_of_clustered_days_hold_the_truth_nine_times_in_ten() -> None:
    random = np.random.default_rng(1)
    held, too_narrow = 0, 0
    trials, days, each = 300, 14, 40
    day = np.repeat(np.arange(days), each)
    for trial in range(trials):
        values = random.normal(size=days)[day] + random.normal(size=days * each)
        found = draw(cluster(day, 0), 200, trial).mean(values)
        as_rows = draw(cluster(np.zeros(len(day), dtype=np.int64), 0), 200, trial).mean(values)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
        too_narrow += not ((as_rows.low or 0) <= 0 <= (as_rows.high or 0))
    assert held / trials >= 0.92
    assert too_narrow / trials > 0.4  # what happens when rows of a day count as independent


def test_intervals_of_the_auc_hold_the_truth() -> None:
    random = np.random.default_rng(2)
    truth, held, trials = 0.7602499, 0, 150  # two normals one standard deviation apart: Φ(1/√2)
    for trial in range(trials):
        label = (random.random(600) < 0.4).astype(np.float64)
        score = random.normal(size=600) + label
        prediction = 1 / (1 + np.exp(-score))
        found = draw(cluster(np.arange(600) // 30, 0), 200, trial).scores("binary", label, prediction)
        area = found.interval("roc_auc")
        held += (area.low or 1) <= truth <= (area.high or 0)
    assert held / trials >= 0.90


def test_few_days_fall_back_to_rows_and_say_so() -> None:
    few = draw(cluster(np.repeat([1, 2, 3], 50), 0), 100, 0).describe()
    assert few.unit == "rows"
    assert few.units == 150
    assert "Only 3 days" in few.note
    many = draw(cluster(np.arange(150) // 10, 0), 100, 0).describe()
    assert (many.unit, many.units, many.note) == ("days", 15, "")


def test_a_difference_on_the_same_resamples_is_narrower_than_either_score() -> None:
    random = np.random.default_rng(3)
    label, prediction = rows_of("binary", 2000, random)
    drawn = draw(cluster(np.arange(2000) // 100, 0), 200, 0)
    ours = drawn.scores("binary", label, prediction)
    other = drawn.scores("binary", label, np.clip(prediction + 0.01, 0, 1))

    def width(found: Any) -> float:
        return float(found.high - found.low)

    assert width(ours.difference("brier", other)) < width(ours.interval("brier")) / 3
    assert ours.difference("brier", ours).value == 0


def test_a_part_has_no_interval_where_most_resamples_are_undefined() -> None:
    assert interval(0.5, np.full(100, np.nan), 20).low is None
    assert interval(0.5, np.linspace(0, 1, 100), 1).low is None
    one_class = draw(cluster(np.arange(100), 0), 100, 0).scores("binary", np.zeros(100), np.linspace(0, 1, 100))
    assert one_class.interval("roc_auc").value is None
