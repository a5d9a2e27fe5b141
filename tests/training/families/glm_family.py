"""A family that a user brings as a file: a generalised linear model of statsmodels, which has no predict_proba."""

from typing import Any

import numpy as np
import optuna
import statsmodels.api as sm

from flywheel.usecase import Task
from training.families.protocol import FitData, Fitted, Params


class GLM:
    """Takes codes as numbers, and no missing ones."""

    name = "glm"
    tasks: frozenset[Task] = frozenset({"binary", "regression"})
    flavor = "statsmodels"

    def defaults(self, task: Task) -> Params:
        return {"ridge": 0.01}

    def suggest(self, trial: optuna.Trial, task: Task) -> Params:
        return {"ridge": trial.suggest_float("glm.ridge", 1e-4, 1.0, log=True)}

    def fit(self, params: Params, data: FitData) -> Fitted:
        family: Any = sm.families.Binomial() if data.task == "binary" else sm.families.Gaussian()
        model = sm.GLM(data.label, data.matrix.astype(np.float64), family=family)
        return Fitted(model.fit_regularized(alpha=params["ridge"], L1_wt=0.0), dict(params))


FAMILY = GLM()
