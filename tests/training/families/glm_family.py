"""A family that a user brings as a file: a generalised linear model of statsmodels, which has no predict_proba."""

import warnings

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import statsmodels.api as sm

from training.families.protocol import Fitted


class GLM:
    """Missing numbers count as 0; codes are taken as numbers."""

    name = "glm"
    tasks = frozenset({"binary", "regression"})
    flavor = "statsmodels"

    def defaults(self, task):
        return {"ridge": 0.01}

    def suggest(self, trial, task):
        return {"ridge": trial.suggest_float("glm.ridge", 1e-4, 1.0, log=True)}

    def fit(self, params, data):
        family = sm.families.Binomial() if data.task == "binary" else sm.families.Gaussian()
        inputs = np.nan_to_num(data.matrix.astype(np.float64))
        model = sm.GLM(data.label, inputs, family=family)
        return Fitted(_Filled(model.fit_regularized(alpha=params["ridge"], L1_wt=0.0)), dict(params))


class _Filled:
    """What is stored is the result; it predicts a matrix whose missing numbers are filled as in the fit."""

    def __init__(self, result):
        self.result = result

    def predict(self, matrix):
        return np.asarray(self.result.predict(np.nan_to_num(np.asarray(matrix, dtype=np.float64))))


FAMILY = GLM()
