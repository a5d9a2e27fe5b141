"""A family that a user brings as a file: another ensemble of scikit-learn, as a class."""

import optuna
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from flywheel.usecase import Task
from training.families.protocol import FitData, Fitted, Params


class ExtraTrees:
    """Missing numbers go to their better side."""

    name = "extra_trees"
    tasks: frozenset[Task] = frozenset({"binary", "multiclass", "regression"})
    flavor = "sklearn"

    def defaults(self, task: Task) -> Params:
        return {"min_samples_leaf": 3}

    def suggest(self, trial: optuna.Trial, task: Task) -> Params:
        return {"min_samples_leaf": trial.suggest_int("extra_trees.min_samples_leaf", 1, 20)}

    def fit(self, params: Params, data: FitData) -> Fitted:
        make = ExtraTreesRegressor if data.task == "regression" else ExtraTreesClassifier
        model = make(50, **params, random_state=data.seed, n_jobs=data.threads)
        return Fitted(model.fit(data.matrix, data.target).set_params(n_jobs=1), dict(params))


FAMILIES = [ExtraTrees]
