"""Subjects small enough to be evaluated in a second, whose truth is known."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from xgboost import XGBClassifier, XGBRegressor

from flywheel.statistics import Floats
from flywheel.usecase import Evaluate, Task
from training.data.dataset import Columns
from training.evaluation.subject import Champion, Subject
from training.packaging.model_code import calibrate, encode, predict_matrix

COLOURS = ["blue", "green", "red"]
ENCODING: list[dict[str, Any]] = [
    {"name": "size", "categories": None},
    {"name": "age", "categories": None},
    {"name": "noise", "categories": None},
    {"name": "colour", "categories": COLOURS},
    {"name": "double", "categories": None},
]
COLUMNS = Columns(
    tuple(item["name"] for item in ENCODING),
    tuple(tuple(item["categories"]) if item["categories"] else None for item in ENCODING),
)
CLASSES = ("low", "middle", "high")
METRIC: dict[Task, str] = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


def features(inputs: pl.DataFrame) -> pl.DataFrame:
    """Make the features of raw inputs."""
    return inputs.select("size", "age", "noise", "colour", double=pl.col("size") * 2)


@dataclass(frozen=True)
class Side:
    """Rows of some days."""

    inputs: pl.DataFrame
    label: Floats
    day: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def matrix(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        return encode(features(self.inputs), ENCODING)


def draw_side(task: Task, rows: int, days: int, seed: int) -> Side:
    """Draw rows whose label rises with size, and for red ones; age and noise do nothing."""
    random = np.random.default_rng(seed)
    day = np.sort(random.integers(0, days, rows))
    size, colour = random.normal(size=rows), random.choice(COLOURS, size=rows)
    margin = 1.5 * size + (colour == "red") + random.normal(scale=0.2, size=days)[day]
    if task == "binary":
        label = (random.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.float64)
    elif task == "multiclass":
        label = np.digitize(margin + random.logistic(size=rows), [-1, 1]).astype(np.float64)
    else:
        label = 100 + 10 * margin + random.normal(size=rows)
    inputs = pl.DataFrame(
        {
            "at": [datetime(2024, 1, 1) + timedelta(days=int(number), minutes=9) for number in day],
            "size": [None if index % 40 == 0 else value for index, value in enumerate(size.tolist())],
            "age": random.integers(18, 90, size=rows),
            "noise": random.normal(size=rows),
            "colour": colour,
        }
    )
    return Side(inputs, label, day.astype(np.int64))


def fit_model(kind: str, side: Side, task: Task) -> Any:
    """Fit one of the kinds of models that are explained in different ways."""
    number = task == "regression"
    kinds = ["c" if is_category else "q" for is_category in COLUMNS.is_category]
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    wide = ColumnTransformer([("codes", one_hot, [3]), ("numbers", SimpleImputer(), [0, 1, 2, 4])])
    xgb = {"n_estimators": 20, "max_depth": 3, "enable_categorical": True, "feature_types": kinds, "n_jobs": 1}
    models = {
        "xgboost": XGBRegressor(**xgb) if number else XGBClassifier(**xgb),
        "linear": Pipeline([("wide", wide), ("model", Ridge() if number else LogisticRegression(max_iter=2000))]),
        "boosting": (HistGradientBoostingRegressor if number else HistGradientBoostingClassifier)(
            max_iter=15, categorical_features=None
        ),
        "boosting with categories": (HistGradientBoostingRegressor if number else HistGradientBoostingClassifier)(
            max_iter=15, categorical_features=list(COLUMNS.is_category)
        ),
        "forest": Pipeline(
            [
                ("missing", SimpleImputer(strategy="constant", fill_value=-1e9)),
                ("model", RandomForestClassifier(10, min_samples_leaf=20, random_state=1)),
            ]
        ),
    }
    return models[kind].fit(side.matrix, side.label if number else side.label.astype(np.int64))


MakeSubject = Callable[..., Subject]


@pytest.fixture(scope="session")
def make_subject() -> MakeSubject:
    """Return a function that fits a model and puts it before its test rows."""

    def make(
        task: Task = "binary",
        kind: str = "xgboost",
        *,
        rows: int = 1200,
        days: int = 12,
        evaluate: Evaluate | None = None,
        champion: Champion | None = None,
        calibration: dict[str, Any] | None = None,
    ) -> Subject:
        train, validation, test = (draw_side(task, rows, days, seed) for seed in (1, 2, 3))
        model = fit_model(kind, train, task)
        how = calibration or {"method": "none"}

        def predict(inputs: pl.DataFrame) -> Floats:
            return calibrate(predict_matrix(model, encode(features(inputs), ENCODING), task), how)

        return Subject(
            task=task,
            classes=CLASSES if task == "multiclass" else (),
            inputs=test.inputs,
            event_time="at",
            features=features(test.inputs),
            label=test.label,
            prediction=predict(test.inputs),
            day=test.day,
            predict=predict,
            model=model,
            columns=COLUMNS,
            matrix=test.matrix,
            calibration=how,
            validation_label=validation.label,
            validation_prediction=predict(validation.inputs),
            validation_day=validation.day,
            baseline_label=train.label,
            evaluate=evaluate or Evaluate(bootstrap=100),
            metric=METRIC[task],
            seed=5,
            champion=champion,
        )

    return make
