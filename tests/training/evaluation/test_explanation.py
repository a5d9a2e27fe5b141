"""Explanations add up to what they explain, whatever the model, and sampling agrees with the exact values."""

from itertools import permutations

import numpy as np
import pytest

from flywheel.statistics import Floats
from flywheel.usecase import Task
from tests.training.evaluation.conftest import MakeSubject
from training.data.dataset import Matrix
from training.evaluation.explanation import explain
from training.evaluation.outputs import Output
from training.evaluation.shapley import additive, sampled
from training.evaluation.tree_shap import ForestExplainer, column_origins, xgboost_values

EXACT = [
    ("xgboost", "binary", "TreeSHAP (XGBoost)"),
    ("xgboost", "multiclass", "TreeSHAP (XGBoost)"),
    ("xgboost", "regression", "TreeSHAP (XGBoost)"),
    ("linear", "binary", "exact Shapley values of an additive model"),
    ("linear", "multiclass", "exact Shapley values of an additive model"),
    ("linear", "regression", "exact Shapley values of an additive model"),
    ("boosting", "binary", "TreeSHAP (SHAP)"),
    ("boosting", "regression", "TreeSHAP (SHAP)"),
    ("forest", "binary", "TreeSHAP (SHAP)"),
    ("forest", "multiclass", "TreeSHAP (SHAP)"),
    ("boosting with categories", "binary", "Shapley values sampled against 16 rows"),
    ("boosting with categories", "multiclass", "Shapley values sampled against 16 rows"),
]


@pytest.mark.parametrize(("kind", "task", "method"), EXACT)
def test_contributions_add_up_to_the_output(make_subject: MakeSubject, kind: str, task: Task, method: str) -> None:
    subject = make_subject(task, kind, rows=400)
    found = explain(subject, clock=lambda: 0.0)
    output = Output(subject.model, task)(subject.matrix)
    assert found.method == method
    for item in found.local:
        told = item.base + sum(part.amount for part in item.contributions) + item.others
        assert np.isclose(told, item.output, rtol=1e-3, atol=1e-4)
        assert np.isclose(output[item.row], item.output, rtol=1e-4, atol=1e-5).any()
    sizes = {item.feature: item.value for item in found.importances}
    assert sizes["noise"] < 0.4 * (sizes["size"] + sizes["double"])
    assert len({item.row for item in found.local}) == len(found.local)


def test_forests_of_shap_are_refused_where_it_is_wrong(make_subject: MakeSubject) -> None:
    with_categories = make_subject("binary", "boosting with categories", rows=400)
    assert not ForestExplainer.knows(with_categories.model, with_categories.matrix)
    without = make_subject("binary", "boosting", rows=400)
    assert ForestExplainer.knows(without.model, without.matrix)


def interacting(matrix: Matrix) -> Floats:
    values = matrix.astype(np.float64)
    return np.column_stack([values[:, 0] * values[:, 1] + values[:, 2], np.maximum(values[:, 0], values[:, 2])])


def brute_force(matrix: Matrix, background: Matrix) -> Floats:
    """Average over all orders and background rows, as Shapley defined it."""
    found = np.zeros((len(matrix), 3, 2))
    orders = list(permutations(range(3)))
    for origin in background:
        for order in orders:
            current = np.repeat(origin[None], len(matrix), axis=0)
            for column in order:
                before = interacting(current)
                current[:, column] = matrix[:, column]
                found[:, column] += interacting(current) - before
    return found / (len(orders) * len(background))


def test_sampled_values_come_close_to_shapleys_definition() -> None:
    random = np.random.default_rng(1)
    matrix = random.normal(size=(20, 3)).astype(np.float32)
    background = random.normal(size=(400, 3)).astype(np.float32)
    found = sampled(interacting, matrix, background, seed=2)
    assert found.explains(interacting(matrix))
    assert np.abs(found.values - brute_force(matrix, background)).max() < 0.25
    assert np.corrcoef(found.values.ravel(), brute_force(matrix, background).ravel())[0, 1] > 0.995


def test_an_additive_model_is_told_from_one_whose_features_interact() -> None:
    random = np.random.default_rng(2)
    matrix = random.normal(size=(30, 3)).astype(np.float32)
    background = random.normal(size=(50, 3)).astype(np.float32)

    def terms(rows: Matrix) -> Floats:
        return np.asarray((np.sin(rows[:, :1]) + 3 * rows[:, 1:2] ** 2).astype(np.float64))

    exact = additive(terms, matrix, background)
    assert exact.explains(terms(matrix))
    assert np.allclose(exact.values[:, 2], 0, atol=1e-6)
    expected = np.sin(matrix[:, 0]) - np.sin(background[:, 0]).mean()
    assert np.allclose(exact.values[:, 0, 0], expected, atol=1e-5)
    assert not additive(interacting, matrix, background).explains(interacting(matrix))


def test_sampling_agrees_with_the_exact_values_of_trees(make_subject: MakeSubject) -> None:
    subject = make_subject("binary", "xgboost", rows=400)
    exact = xgboost_values(subject.model, subject.matrix[:60])
    output = Output(subject.model, "binary")
    walked = sampled(output, subject.matrix[:60], subject.matrix[-40:], seed=1)
    assert exact.explains(output(subject.matrix[:60]))
    for column in (0, 3):  # size, whose double says the same, and colour
        assert np.corrcoef(exact.values[:, column, 0], walked.values[:, column, 0])[0, 1] > 0.9


def test_columns_of_a_pipeline_are_traced_to_the_feature_behind_them(make_subject: MakeSubject) -> None:
    subject = make_subject("binary", "linear", rows=400)
    assert column_origins(None, subject.matrix) is None
    origins = column_origins(subject.model[:-1], subject.matrix)
    assert origins is not None
    assert origins.tolist() == [3, 3, 3, 0, 1, 2, 4]


def test_a_slow_model_is_explained_on_fewer_rows(make_subject: MakeSubject) -> None:
    subject = make_subject("binary", "xgboost", rows=400)
    seconds = iter(range(1000))
    found = explain(subject, clock=lambda: float(next(seconds)))
    assert found.rows == 8
    assert explain(subject, clock=lambda: 0.0).rows == 400
