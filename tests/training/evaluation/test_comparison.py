"""The paired test against a champion: how often it errs, and what it sees."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.statistics import Floats
from training.evaluation.baseline import baseline_prediction
from training.evaluation.bootstrap import draw
from training.evaluation.clusters import cluster
from training.evaluation.comparison import compare, incomparable, mean_error
from training.evaluation.report import Comparison
from training.evaluation.subject import Days


def against(label: Floats, ours: Floats, theirs: Floats, day: Days) -> Comparison:
    drawn = draw(cluster(day, 0), 100, 0)
    scores, other = drawn.scores("regression", label, ours), drawn.scores("regression", label, theirs)
    return compare("v1", "regression", label, ours, theirs, clusters=drawn.clusters, scores=scores, other=other)


def test_equal_models_are_told_apart_five_times_in_a_hundred_even_when_days_move_together() -> None:
    random = np.random.default_rng(1)
    wrong, as_rows, trials = 0, 0, 400
    for _ in range(trials):
        sizes = random.integers(10, 60, size=14)
        day = np.repeat(np.arange(14), sizes).astype(np.int64)
        label = np.zeros(len(day))
        ours = 1 + random.normal(scale=0.3, size=14)[day] + random.normal(scale=0.3, size=len(day))
        theirs = 1 + random.normal(scale=0.3, size=14)[day] + random.normal(scale=0.3, size=len(day))
        wrong += against(label, ours, theirs, day).verdict != "undecided"
        as_rows += against(label, ours, theirs, np.arange(len(day))).verdict != "undecided"
    assert wrong / trials <= 0.075
    assert as_rows / trials > 0.3  # what a test of rows would do


def test_a_better_model_is_called_better_and_the_other_way_round_worse() -> None:
    random = np.random.default_rng(2)
    day = np.arange(1000) // 50
    label = random.normal(size=1000)
    good, bad = label + random.normal(scale=0.5, size=1000), label + random.normal(scale=0.7, size=1000)
    found, other = against(label, good, bad, day), against(label, bad, good, day)
    assert (found.verdict, other.verdict) == ("better", "worse")
    assert found.loss.value == -(other.loss.value or 0)
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert set(found.differences) == {"rmse", "mae", "r2"}


def test_the_same_predictions_are_undecided() -> None:
    label = np.arange(100.0)
    found = against(label, label + 1, label + 1, np.arange(100) // 5)
    assert (found.verdict, found.p_value) == ("undecided", 1.0)
    assert (found.loss.low, found.loss.high) == (0, 0)


def test_a_champion_without_predictions_has_a_reason() -> None:
    found = incomparable("version 2", "It needs an input that the data no longer has.")
    assert found.verdict == "none"
    assert found.loss.value is None
    assert "no longer" in found.reason


def test_clusters_of_one_row_give_the_usual_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=200)
    assert np.isclose(mean_error(values, cluster(np.arange(200), 0)), values.std(ddof=1) / np.sqrt(200))


def test_days_that_move_together_widen_the_standard_error() -> None:
    random = np.random.default_rng(2)
    means = [(random.normal(size=30)[:, None] + random.normal(size=(30, 100))).ravel() for _ in range(200)]
    day = np.repeat(np.arange(30), 100)
    spread = float(np.std([values.mean() for values in means]))
    stated = float(np.mean([mean_error(values, cluster(day, 0)) for values in means]))
    assert abs(stated / spread - 1) < 0.15
    assert mean_error(means[0], cluster(np.zeros(3000, dtype=np.int64), 0)) < spread / 3  # as if rows were independent


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_the_baseline_gives_shares_that_add_up_and_are_never_nought(codes: list[int]) -> None:
    training = np.array(codes, dtype=np.float64)
    found = baseline_prediction("multiclass", training, 5, 7)
    assert found.shape == (7, 5)
    assert np.allclose(found.sum(axis=1), 1)
    assert found.min() > 0
    assert np.allclose(baseline_prediction("regression", training, 0, 3), training.mean())
    two = baseline_prediction("binary", np.minimum(training, 1), 0, 3)
    assert ((two > 0) & (two < 1)).all()
