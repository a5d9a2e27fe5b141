"""Statistics against scikit-learn's and against simulated days."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_squared_error, roc_auc_score

from flywheel.statistics import area_under_curve, clustered_error, row_losses


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60))
def test_area_under_curve_agrees_with_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    positive = np.array([late for late, _ in rows])
    score = np.array([value / 5 for _, value in rows])
    if positive.all() or not positive.any():
        assert area_under_curve(positive, score) is None
    else:
        assert area_under_curve(positive, score) == pytest.approx(roc_auc_score(positive, score))


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.01, 0.49), st.floats(0.01, 0.49)), min_size=2, max_size=40))
def test_the_mean_of_row_losses_is_scikit_learns_loss_for_every_task(rows: list[tuple[int, float, float]]) -> None:
    code, first, second = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    thirds = np.column_stack([first, second, 1 - first - second])
    late = (code > 0).astype(float)
    assert row_losses("binary", late, first).mean() == pytest.approx(log_loss(late, first, labels=[0, 1]))
    assert row_losses("multiclass", code, thirds).mean() == pytest.approx(log_loss(code, thirds, labels=[0, 1, 2]))
    assert row_losses("regression", code, first).mean() == pytest.approx(mean_squared_error(code, first))


def test_a_certain_and_wrong_answer_costs_much_but_not_infinity() -> None:
    binary = row_losses("binary", np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    multiclass = row_losses("multiclass", np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert all(30 < loss < 40 for loss in [*binary, *multiclass])


def test_clusters_of_one_row_give_the_standard_error_of_independent_rows() -> None:
    values = np.random.default_rng(7).normal(size=500)
    assert clustered_error(values, np.ones(500, dtype=int)) == pytest.approx(values.std(ddof=1) / math.sqrt(500))


def test_fewer_than_two_clusters_say_nothing_about_the_differences_between_them() -> None:
    assert clustered_error(np.array([3.0]), np.array([10])) == math.inf
    assert clustered_error(np.array([]), np.array([], dtype=int)) == math.inf


def test_the_error_is_the_spread_of_means_of_days_of_unequal_size() -> None:
    random = np.random.default_rng(7)
    rows = random.integers(20, 80, size=60)
    means, errors = [], []
    for _ in range(400):
        totals = rows * random.normal(scale=1.0, size=60) + random.normal(size=60) * np.sqrt(rows)
        means.append(totals.sum() / rows.sum())
        errors.append(clustered_error(totals, rows))
    assert float(np.mean(errors)) == pytest.approx(float(np.std(means)), rel=0.15)
