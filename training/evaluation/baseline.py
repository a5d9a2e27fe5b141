"""The trivial model: it knows the training labels and nothing of the rows."""

import numpy as np

from flywheel.statistics import Floats
from flywheel.usecase import Task

NAMES: dict[Task, str] = {
    "binary": "share of 1 in training",
    "multiclass": "shares of the classes in training",
    "regression": "mean of training",
}


def baseline_prediction(task: Task, training: Floats, classes: int, rows: int) -> Floats:
    """Predict the same for each of `rows`: (rows,) or (rows, classes).

    Shares are those of Laplace's rule, (count + 1) / (rows + classes), so that a class that training lacks costs no
    infinite loss.
    """
    if task == "regression":
        return np.full(rows, float(training.mean()))
    kinds = 2 if task == "binary" else classes
    shares = (np.bincount(training.astype(np.int64), minlength=kinds) + 1) / (len(training) + kinds)
    return np.full(rows, shares[1]) if task == "binary" else np.tile(shares, (rows, 1))
