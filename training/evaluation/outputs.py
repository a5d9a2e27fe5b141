"""The number that explanations take apart: the model's own score before it becomes a probability, where it has one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.data.dataset import Matrix
from training.packaging.model_code import predict_matrix


@dataclass(frozen=True)
class Output:
    """A fitted model's output as a function: (n_rows, n_features) to (n_rows, n_outputs).

    One output for binary (of class 1) and regression, one a class for multiclass. Scores add up better than
    probabilities: a linear model's are sums, boosted trees' too.
    """

    model: Any
    task: Task

    @property
    def unit(self) -> str:
        """Name what the output is measured in."""
        if self.task == "regression":
            return "units of the label"
        scores = isinstance(self.model, xgboost.XGBModel) or hasattr(self.model, "decision_function")
        return "log-odds" if scores else "probability"

    def __call__(self, matrix: Matrix) -> Floats:
        """Ask the model."""
        if self.task != "regression" and isinstance(self.model, xgboost.XGBModel):
            answer = self.model.predict(matrix, output_margin=True)
        elif self.task != "regression" and hasattr(self.model, "decision_function"):
            answer = self.model.decision_function(matrix)
        else:
            answer = predict_matrix(self.model, matrix, self.task)
        found = np.asarray(answer, dtype=np.float64)
        return found[:, None] if found.ndim == 1 else found
