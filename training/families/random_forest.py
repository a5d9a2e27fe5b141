"""scikit-learn's random forest: many deep trees on samples of the rows, averaged."""

from typing import Any

import optuna
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import Pipeline

from flywheel.usecase import Task
from training.families.matrix import missing_beyond
from training.families.protocol import FitData, Fitted, Params


class RandomForest:
    """Codes are taken as numbers; a missing value lies beyond all others, so that a split can tell it apart."""

    name = "random_forest"
    tasks: frozenset[Task] = frozenset({"binary", "multiclass", "regression"})
    flavor = "sklearn"
    takes_weights = True

    def defaults(self, task: Task) -> Params:
        """Return trees with leaves large enough for honest probabilities."""
        return {"trees": 150, "min_samples_leaf": 5, "max_features": 0.4, "bootstrap": True, "max_samples": 0.6}

    def suggest(self, trial: optuna.Trial, task: Task) -> Params:
        """Ask for number and size of trees and their sampling; only bootstrapped trees have a sample size."""
        params = {
            "trees": trial.suggest_int("random_forest.trees", 50, 300, step=50),
            "min_samples_leaf": trial.suggest_int("random_forest.min_samples_leaf", 1, 50, log=True),
            "max_features": trial.suggest_float("random_forest.max_features", 0.2, 1.0),
            "bootstrap": trial.suggest_categorical("random_forest.bootstrap", [True, False]),
        }
        if params["bootstrap"]:
            params["max_samples"] = trial.suggest_float("random_forest.max_samples", 0.2, 1.0)
        return params

    def fit(self, params: Params, data: FitData) -> Fitted:
        """Fit; no rows to stop on are needed."""
        settings: dict[str, Any] = {
            "n_estimators": params["trees"],
            "min_samples_leaf": params["min_samples_leaf"],
            "max_features": params["max_features"],
            "bootstrap": params["bootstrap"],
            "max_samples": params.get("max_samples"),
            "random_state": data.seed,
            "n_jobs": data.threads,
        }
        make = RandomForestRegressor if data.task == "regression" else RandomForestClassifier
        pipeline = Pipeline([("missing", missing_beyond()), ("model", make(**settings))])
        pipeline.fit(data.matrix, data.target, model__sample_weight=data.weight)
        # Threads add up the trees' answers in the order in which they end: the last bit would differ from call to call.
        return Fitted(pipeline.set_params(model__n_jobs=1), dict(params))
