"""A model that is never trained again, and what it answers for the rest of the year: rows as monitoring has them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import xgboost

from flywheel.statistics import Floats, row_losses
from flywheel.usecase import Task, load_usecase
from training.data.features import load_features
from training.sources.rows import input_columns, load_rows

EXAMPLES = Path(__file__).parents[1] / "examples"
END = datetime(2014, 1, 1)
VERSION = "1"
PARAMETERS = {"max_depth": 6, "n_estimators": 150, "learning_rate": 0.1, "subsample": 0.8, "colsample_bytree": 0.8}


@dataclass(frozen=True)
class Case:
    """One example and its calendar.

    Attributes:
        name: Its folder.
        reference: The month that follows training and is the reference.
        metric: What is estimated.
    """

    name: str
    reference: datetime
    metric: str

    @property
    def first(self) -> datetime:
        """When the first month after the reference begins."""
        return (self.reference + timedelta(days=32)).replace(day=1)


FLIGHTS = Case("flights", datetime(2013, 3, 1), "roc_auc")
AIRPORTS = Case("airports", datetime(2013, 5, 1), "rmse")


@dataclass(frozen=True)
class History:
    """What a model answered from its reference on.

    Attributes:
        task: binary or regression.
        rows: `event_time`, `time_known`, `model_version`, `prediction`, `outcome`, `loss` and the features, in order
            of time.
    """

    task: Task
    rows: pl.DataFrame


class Example:
    """An example's rows, read and turned into features once."""

    def __init__(self, case: Case) -> None:
        """Read them."""
        home = EXAMPLES / case.name
        self._case, self._usecase = case, load_usecase(home / "usecase.yaml")
        data = self._usecase.data
        rows = load_rows(data, home, END + timedelta(days=30), self._usecase.task)
        rows = rows.filter(pl.col(data.label.column).is_not_null()).sort(data.event_time)
        self._features = load_features(home / self._usecase.features)(rows.select(input_columns(rows, data)))
        self._time, self._label = rows[data.event_time], rows[data.label.column].cast(pl.Float64)

    def history(self, seed: int) -> History:
        """Train on what came before the reference, and answer all that comes after."""
        matrix, label = _matrix(self._features), self._label.to_numpy()
        trained = (self._time < self._case.reference).to_numpy()
        later = self._time >= self._case.reference
        prediction = _answers(self._usecase.task, matrix, label, trained, seed)[later.to_numpy()]
        outcome, task = label[later.to_numpy()], self._usecase.task
        rows = self._features.filter(later).with_columns(
            self._time.filter(later).alias("event_time"),
            (self._time.filter(later) + self._usecase.data.label.available_after).alias("time_known"),
            pl.lit(VERSION).alias("model_version"),
            pl.Series("prediction", prediction),
            pl.Series("outcome", outcome),
            pl.Series("loss", row_losses(task, outcome, prediction)),
        )
        return History(task, rows)


def _answers(task: Task, matrix: Floats, label: Floats, trained: Floats, seed: int) -> Floats:
    kind = xgboost.XGBClassifier if task == "binary" else xgboost.XGBRegressor
    model = kind(**PARAMETERS, random_state=seed, n_jobs=1).fit(matrix[trained], label[trained])
    answers = model.predict_proba(matrix)[:, 1] if task == "binary" else model.predict(matrix)
    return np.asarray(answers, dtype=np.float64)


def _matrix(features: pl.DataFrame) -> Floats:
    """Return the features as numbers; text by the place of its value in the alphabet."""
    coded = [
        pl.col(name).rank("dense").cast(pl.Float64) if kind == pl.String else pl.col(name).cast(pl.Float64)
        for name, kind in features.schema.items()
    ]
    return np.asarray(features.select(coded).to_numpy(), dtype=np.float64)
