"""Logistic and linear regression on 0/1 columns of categories and standardised numbers."""

import warnings
from typing import Any

import optuna
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from flywheel.usecase import Task
from training.families.matrix import one_hot_and_scaled
from training.families.protocol import FitData, Fitted, Params


class Logistic:
    """Logistic regression with a penalty on squares (l2) or on sizes (l1, which drops columns)."""

    name = "logistic"
    tasks: frozenset[Task] = frozenset({"binary", "multiclass"})
    flavor = "sklearn"
    takes_weights = True

    def defaults(self, task: Task) -> Params:
        """Return a mild penalty on squares."""
        return {"penalty": "l2", "C": 0.1}

    def suggest(self, trial: optuna.Trial, task: Task) -> Params:
        """Ask for the kind of penalty, and for its inverse strength on that kind's own scale."""
        if trial.suggest_categorical("logistic.penalty", ["l2", "l1"]) == "l1":
            return {"penalty": "l1", "C_l1": trial.suggest_float("logistic.C_l1", 1e-2, 10.0, log=True)}
        return {"penalty": "l2", "C": trial.suggest_float("logistic.C", 1e-4, 10.0, log=True)}

    def fit(self, params: Params, data: FitData) -> Fitted:
        """Fit; no rows to stop on are needed."""
        if params["penalty"] == "l1":
            # liblinear is many times faster than saga, and knows two classes only.
            solver = "liblinear" if data.task == "binary" else "saga"
            settings: dict[str, Any] = {"solver": solver, "l1_ratio": 1.0, "C": params["C_l1"], "tol": 1e-3}
        else:
            settings = {"solver": "lbfgs", "C": params["C"], "max_iter": 300}
        model = LogisticRegression(random_state=data.seed, **settings)
        return Fitted(_fitted(model, data), dict(params))


class Linear:
    """Linear regression with a penalty on squares (ridge), or on sizes as well (elastic net)."""

    name = "linear"
    tasks: frozenset[Task] = frozenset({"regression"})
    flavor = "sklearn"
    takes_weights = True

    def defaults(self, task: Task) -> Params:
        """Return a mild penalty on squares."""
        return {"penalty": "ridge", "alpha": 1.0}

    def suggest(self, trial: optuna.Trial, task: Task) -> Params:
        """Ask for the kind of penalty, its strength on that kind's own scale, and the mixture where there is one."""
        if trial.suggest_categorical("linear.penalty", ["ridge", "elastic_net"]) == "ridge":
            return {"penalty": "ridge", "alpha": trial.suggest_float("linear.alpha", 1e-2, 1e4, log=True)}
        return {
            "penalty": "elastic_net",
            "alpha_elastic_net": trial.suggest_float("linear.alpha_elastic_net", 1e-4, 1.0, log=True),
            "l1_ratio": trial.suggest_float("linear.l1_ratio", 0.05, 1.0),
        }

    def fit(self, params: Params, data: FitData) -> Fitted:
        """Fit; no rows to stop on are needed."""
        if params["penalty"] == "ridge":
            model = Ridge(alpha=params["alpha"], random_state=data.seed)
        else:
            # The penalty is per unit of the label's spread, so that one scale serves labels in metres and in miles.
            spread = float(data.label.std()) or 1.0
            alpha = float(params["alpha_elastic_net"]) * spread
            model = ElasticNet(alpha=alpha, l1_ratio=params["l1_ratio"], max_iter=500, random_state=data.seed)
        return Fitted(_fitted(model, data), dict(params))


def _fitted(model: Any, data: FitData) -> Pipeline:
    pipeline = Pipeline([("inputs", one_hot_and_scaled(data.columns)), ("model", model)])
    with threadpool_limits(data.threads), warnings.catch_warnings():
        # A fit that did not quite converge is a candidate like any other: its score decides.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return pipeline.fit(data.matrix, data.target, model__sample_weight=data.weight)
