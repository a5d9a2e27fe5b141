"""scikit-learn's histogram gradient boosting: categories as sets, missing values to their better side."""

from typing import Any

import optuna
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from flywheel.usecase import Task
from training.families.protocol import FitData, Fitted, Params, targets

MOST_TREES = 400
PATIENCE = 15  # rounds without a better loss
MOST_CATEGORIES = 254  # of 255 bins one is for missing values; columns with more codes are taken as numbers


class HistGradientBoosting:
    """Boosted trees grown leaf by leaf. With later rows it stops early, and says after how many trees."""

    name = "hist_gradient_boosting"
    tasks: frozenset[Task] = frozenset({"binary", "multiclass", "regression"})
    flavor = "sklearn"
    takes_weights = True

    def defaults(self, task: Task) -> Params:
        """Return scikit-learn's own, with a shorter step."""
        return {"learning_rate": 0.08, "max_leaf_nodes": 31, "min_samples_leaf": 20, "l2": 1.0, "max_features": 1.0}

    def suggest(self, trial: optuna.Trial, task: Task) -> Params:
        """Ask for step length, tree size, penalty and the share of features tried at each split."""
        return {
            "learning_rate": trial.suggest_float("hist_gradient_boosting.learning_rate", 0.03, 0.3, log=True),
            "max_leaf_nodes": trial.suggest_int("hist_gradient_boosting.max_leaf_nodes", 7, 127, log=True),
            "min_samples_leaf": trial.suggest_int("hist_gradient_boosting.min_samples_leaf", 5, 200, log=True),
            "l2": trial.suggest_float("hist_gradient_boosting.l2", 1e-3, 30.0, log=True),
            "max_features": trial.suggest_float("hist_gradient_boosting.max_features", 0.4, 1.0),
        }

    def fit(self, params: Params, data: FitData) -> Fitted:
        """Fit; `params` may say the number of `trees`, which is the most when there are rows to stop on."""
        settings: dict[str, Any] = {
            "max_iter": params.get("trees", MOST_TREES),
            "learning_rate": params["learning_rate"],
            "max_leaf_nodes": params["max_leaf_nodes"],
            "min_samples_leaf": params["min_samples_leaf"],
            "l2_regularization": params["l2"],
            "max_features": params["max_features"],
            "categorical_features": [
                values is not None and 0 < len(values) <= MOST_CATEGORIES for values in data.columns.categories
            ],
            "random_state": data.seed,
            "early_stopping": data.evaluation is not None,
            "n_iter_no_change": PATIENCE,
        }
        make = HistGradientBoostingRegressor if data.task == "regression" else HistGradientBoostingClassifier
        later = {}
        if data.evaluation is not None:
            later = {"X_val": data.evaluation.matrix, "y_val": targets(data.evaluation.label, data.task)}
        with threadpool_limits(data.threads):  # it takes all cores unless OpenMP itself is told
            model = make(**settings).fit(data.matrix, data.target, sample_weight=data.weight, **later)
        return Fitted(model, {**params, "trees": model.n_iter_})
