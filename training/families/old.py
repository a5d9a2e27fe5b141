"""Model families: each says which parameters it has and how a pipeline is made of them.

Every pipeline takes the pandas frame of `training.model_code.estimator_input` (Float64 numbers with NaN for missing,
text with "" for missing), and tolerates missing values and categories that training never saw.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from optuna import Trial
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from xgboost import XGBClassifier

from flywheel.errors import SpecError

Params = Mapping[str, float | int]


@dataclass(frozen=True)
class Columns:
    """The features by kind, in the order of the frame."""

    categories: tuple[str, ...]
    numbers: tuple[str, ...]


class Family(Protocol):
    """One kind of model. Holds no state: the same parameters, columns and seed give the same pipeline."""

    name: str
    defaults: Params

    def suggest(self, trial: Trial) -> Params:
        """Ask the trial for parameters; names carry the family's as a prefix."""

    def estimator(self, params: Params, columns: Columns, seed: int, threads: int) -> Pipeline:
        """Make an unfitted pipeline with `fit` and `predict_proba`; its last step is called `model`."""


class XGBoost:
    """Boosted trees; missing values go where they reduce the loss, unseen categories count as missing."""

    name = "xgboost"
    defaults: Params = MappingProxyType(
        {
            "max_depth": 6,
            "trees": 120,
            "learning_rate": 0.1,
            "min_child_weight": 5.0,
            "subsample": 0.8,
            "colsample": 0.8,
        }
    )

    def suggest(self, trial: Trial) -> Params:
        """Ask for tree size and number, step length and sampling."""
        return {
            "max_depth": trial.suggest_int("xgboost.max_depth", 3, 8),
            "trees": trial.suggest_int("xgboost.trees", 40, 200, step=20),
            "learning_rate": trial.suggest_float("xgboost.learning_rate", 0.03, 0.3, log=True),
            "min_child_weight": trial.suggest_float("xgboost.min_child_weight", 1.0, 50.0, log=True),
            "subsample": trial.suggest_float("xgboost.subsample", 0.5, 1.0),
            "colsample": trial.suggest_float("xgboost.colsample", 0.4, 1.0),
        }

    def estimator(self, params: Params, columns: Columns, seed: int, threads: int) -> Pipeline:
        """Make ordinal codes for categories and boosted histogram trees on all columns."""
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
        model = XGBClassifier(
            n_estimators=int(params["trees"]),
            max_depth=int(params["max_depth"]),
            learning_rate=params["learning_rate"],
            min_child_weight=params["min_child_weight"],
            subsample=params["subsample"],
            colsample_bytree=params["colsample"],
            tree_method="hist",
            random_state=seed,
            n_jobs=threads,
        )
        inputs = ColumnTransformer(
            [("codes", codes, list(columns.categories)), ("numbers", "passthrough", list(columns.numbers))]
        )
        return Pipeline([("inputs", inputs), ("model", model)])


class Logistic:
    """Logistic regression on standardised numbers and one column a category."""

    name = "logistic"
    defaults: Params = MappingProxyType({"C": 0.1})

    def suggest(self, trial: Trial) -> Params:
        """Ask for the inverse strength of the penalty."""
        return {"C": trial.suggest_float("logistic.C", 1e-3, 10.0, log=True)}

    def estimator(self, params: Params, columns: Columns, seed: int, threads: int) -> Pipeline:
        """Impute by the median with an indicator, standardise, and fit; rare categories share a column."""
        numbers = Pipeline(
            [
                ("impute", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
                ("scale", StandardScaler()),
            ]
        )
        codes = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)
        inputs = ColumnTransformer(
            [("codes", codes, list(columns.categories)), ("numbers", numbers, list(columns.numbers))]
        )
        model = LogisticRegression(C=params["C"], max_iter=300, random_state=seed)
        return Pipeline([("inputs", inputs), ("model", model)])


FAMILIES: dict[str, Family] = {family.name: family for family in (XGBoost(), Logistic())}


def choose_families(names: tuple[str, ...]) -> list[Family]:
    """Look up the families that a use case names.

    Raises:
        SpecError: One is unknown, or none is named.
    """
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        wrong = f"family '{unknown[0]}' is unknown" if unknown else "no family is named"
        raise SpecError(f"train.families: {wrong}. Choose from: {', '.join(FAMILIES)}.")
    return [FAMILIES[name] for name in dict.fromkeys(names)]


def columns_of(frame: Any) -> Columns:
    """Tell categories (text) from numbers in an estimator's input, a pandas frame of n_rows by n_features."""
    categories = tuple(str(name) for name in frame.columns if frame[name].dtype == object)
    return Columns(categories, tuple(str(name) for name in frame.columns if str(name) not in categories))
