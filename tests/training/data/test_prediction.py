"""Trials and served models ask a fitted model in the same way."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from flywheel.usecase import Task
from training.data import prediction
from training.packaging import model_code


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_both_give_the_same_answers(task: Task) -> None:
    random = np.random.default_rng(1)
    matrix = random.normal(size=(60, 3)).astype(np.float32)
    label = {"binary": matrix[:, 0] > 0, "multiclass": np.arange(60) % 3, "regression": matrix[:, 1]}[task]
    model = (LinearRegression() if task == "regression" else LogisticRegression()).fit(matrix, label)
    ours, theirs = (ask.predict_matrix(model, matrix, task) for ask in (prediction, model_code))
    assert ours.dtype == np.float64
    assert ours.shape == ((60, 3) if task == "multiclass" else (60,))
    assert np.array_equal(ours, theirs)


def test_a_model_without_probabilities_is_asked_for_its_predictions() -> None:
    class Odd:
        def predict(self, matrix: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> list[float]:
            return [0.25] * len(matrix)

    for ask in (prediction, model_code):
        assert ask.predict_matrix(Odd(), np.zeros((2, 1), np.float32), "binary").tolist() == [0.25, 0.25]
