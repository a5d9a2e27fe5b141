"""How trials ask a fitted model for its predictions: as `training.packaging.model_code` does when the model serves.

That file imports MLflow, which takes seconds, and workers must not wait for it; a test holds both to the same answers.
"""

from typing import Any

import numpy as np

from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.data.dataset import Matrix


def predict_matrix(model: Any, matrix: Matrix, task: Task) -> Floats:
    """Ask a fitted model: binary (n_rows,) of class 1, multiclass (n_rows, n_classes), regression (n_rows,)."""
    if task != "regression" and hasattr(model, "predict_proba"):
        answer = np.asarray(model.predict_proba(matrix), dtype=np.float64)
        return answer[:, 1] if task == "binary" else answer
    return np.asarray(model.predict(matrix), dtype=np.float64)
