"""XGBoost: boosted trees with native categories; missing values go where they reduce the loss."""

from collections.abc import Mapping
from typing import Any

import optuna
import xgboost
from xgboost import XGBClassifier, XGBRegressor

from flywheel.usecase import Task
from training.families.protocol import FitData, Fitted, Params, targets

MOST_TREES = 400
PATIENCE = 20  # rounds without a better loss
FIRST_REPORT = 16  # trees; then at every doubling, since each report costs a few calls to the database
LOSSES: Mapping[Task, str] = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}


class XGBoost:
    """Boosted trees on native categories. With later rows it stops early, and says after how many trees."""

    name = "xgboost"
    tasks: frozenset[Task] = frozenset(LOSSES)
    flavor = "xgboost"
    takes_weights = True

    def defaults(self, task: Task) -> Params:
        """Return parameters that do well on most tables."""
        return {
            "max_depth": 6,
            "learning_rate": 0.1,
            "min_child_weight": 5.0,
            "subsample": 0.8,
            "colsample": 0.8,
            "l2": 1.0,
        }

    def suggest(self, trial: optuna.Trial, task: Task) -> Params:
        """Ask for tree size, step length, sampling and penalty; the number of trees comes from early stopping."""
        return {
            "max_depth": trial.suggest_int("xgboost.max_depth", 3, 9),
            "learning_rate": trial.suggest_float("xgboost.learning_rate", 0.03, 0.3, log=True),
            "min_child_weight": trial.suggest_float("xgboost.min_child_weight", 1.0, 50.0, log=True),
            "subsample": trial.suggest_float("xgboost.subsample", 0.5, 1.0),
            "colsample": trial.suggest_float("xgboost.colsample", 0.4, 1.0),
            "l2": trial.suggest_float("xgboost.l2", 0.1, 30.0, log=True),
        }

    def fit(self, params: Params, data: FitData) -> Fitted:
        """Fit; `params` may say the number of `trees`, which is the most when there are rows to stop on."""
        settings: dict[str, Any] = {
            "n_estimators": params.get("trees", MOST_TREES),
            "max_depth": params["max_depth"],
            "learning_rate": params["learning_rate"],
            "min_child_weight": params["min_child_weight"],
            "subsample": params["subsample"],
            "colsample_bytree": params["colsample"],
            "reg_lambda": params["l2"],
            "tree_method": "hist",
            "enable_categorical": True,
            "feature_types": ["c" if is_category else "q" for is_category in data.columns.is_category],
            "random_state": data.seed,
            "n_jobs": data.threads,
            "eval_metric": LOSSES[data.task],
        }
        make = XGBRegressor if data.task == "regression" else XGBClassifier
        if data.evaluation is None:
            model = make(**settings).fit(data.matrix, data.target, sample_weight=data.weight)
            return Fitted(model, {**params, "trees": settings["n_estimators"]})
        later = [(data.evaluation.matrix, targets(data.evaluation.label, data.task))]
        model = make(**settings, early_stopping_rounds=PATIENCE, callbacks=[_Reporter(data)])
        model.fit(data.matrix, data.target, sample_weight=data.weight, eval_set=later, verbose=False)
        model.set_params(callbacks=None)  # it holds the data, and has no place in a stored model
        return Fitted(model, {**params, "trees": model.best_iteration + 1})


class _Reporter(xgboost.callback.TrainingCallback):  # type: ignore[misc]  # xgboost has no types
    """Tells the loss on later rows after 16, 32, 64 … trees."""

    def __init__(self, data: FitData) -> None:
        super().__init__()
        self._data = data

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Report at doublings; what the report raises ends the fit."""
        trees = epoch + 1
        if trees >= FIRST_REPORT and trees & (trees - 1) == 0:
            self._data.report(trees, float(evals_log["validation_0"][LOSSES[self._data.task]][-1]))
        return False
