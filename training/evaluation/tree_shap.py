"""Shapley values of tree ensembles, exact by the trees' own structure (Lundberg et al. 2020)."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import Pipeline

from training.data.dataset import Matrix
from training.evaluation.shapley import Shapley

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it calls what matplotlib is about to drop while it is imported
    from shap import TreeExplainer  # 2 s, of which numba most; importing the submodule alone loads the same

BOOSTED = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)
DONORS = 24


def xgboost_values(model: Any, matrix: Matrix) -> Shapley:
    """Ask XGBoost itself, (n_rows, n_features): it knows its categories and missing values, and needs no import."""
    booster = model.get_booster()
    trees = (0, getattr(model, "best_iteration", -1) + 1)  # (0, 0) takes all
    data = xgboost.DMatrix(matrix, feature_types=booster.feature_types, enable_categorical=True)
    found = booster.predict(data, pred_contribs=True, iteration_range=trees).astype(np.float64)
    by_output = found[:, None] if found.ndim == 2 else found
    return Shapley(by_output[:, :, :-1].transpose(0, 2, 1), by_output[0, :, -1])


class ForestExplainer:
    """SHAP's explainer for scikit-learn's trees, alone or as a pipeline's last step behind column-wise ones.

    SHAP 0.51 takes categorical splits of histogram boosting for numeric ones, and its values are then wrong without a
    warning; such a model is refused. Whoever calls checks that the values add up.
    """

    def __init__(self, model: Any, matrix: Matrix) -> None:
        self._before = model[:-1] if isinstance(model, Pipeline) else None
        trees = model[-1] if isinstance(model, Pipeline) else model
        self._origin = column_origins(self._before, matrix)
        self._explainer = TreeExplainer(trees)
        self._class_one = isinstance(trees, FORESTS) and len(getattr(trees, "classes_", ())) == 2

    @staticmethod
    def knows(model: Any, matrix: Matrix) -> bool:
        """Say whether the model is of a kind that is explained rightly."""
        trees = model[-1] if isinstance(model, Pipeline) else model
        if isinstance(trees, BOOSTED):
            categorical = getattr(trees, "is_categorical_", None)
            if categorical is not None and np.any(categorical):
                return False
        elif not isinstance(trees, FORESTS):
            return False
        return not isinstance(model, Pipeline) or column_origins(model[:-1], matrix) is not None

    def __call__(self, matrix: Matrix) -> Shapley:
        """Explain rows (n_rows, n_features); columns that a pipeline made are added up to the features behind them."""
        inputs = matrix if self._before is None else self._before.transform(matrix)
        found = np.asarray(self._explainer.shap_values(inputs, check_additivity=False), dtype=np.float64)
        values = found[:, :, None] if found.ndim == 2 else found
        base = np.atleast_1d(np.asarray(self._explainer.expected_value, dtype=np.float64))
        if self._class_one:
            values, base = values[:, :, 1:], base[1:]
        if self._origin is None:
            return Shapley(values, base)
        belongs = np.eye(matrix.shape[1])[self._origin]  # (n_made, n_features)
        return Shapley(np.einsum("rmo,mf->rfo", values, belongs), base)


def column_origins(before: Any, matrix: Matrix) -> npt.NDArray[np.int64] | None:
    """Say which feature each column behind a pipeline's first steps comes from, (n_made,); found by trying.

    None when there are no steps, or when a column comes from several features.
    """
    if before is None:
        return None
    picked = np.linspace(0, len(matrix) - 1, DONORS).astype(np.int64)
    rows, donors = matrix[picked], matrix[np.roll(picked, 1)]
    plain = _dense(before.transform(rows))
    moved = []
    for column in range(matrix.shape[1]):
        changed = rows.copy()
        changed[:, column] = donors[:, column]
        moved.append((_dense(before.transform(changed)) != plain).any(axis=0))
    table = np.array(moved)
    if (table.sum(axis=0) > 1).any():
        return None
    origins: npt.NDArray[np.int64] = table.argmax(axis=0).astype(np.int64)
    return origins  # a column that never moved adds nothing, wherever it is counted


def _dense(made: Any) -> Any:
    return made.toarray() if hasattr(made, "toarray") else np.asarray(made)
