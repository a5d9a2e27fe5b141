"""What is evaluated: the rows held out to the end, what the model said about them, and the model itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.statistics import Floats
from flywheel.usecase import Evaluate, Task
from training.data.dataset import Columns, Matrix

Days = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Champion:
    """The version in traffic. `prediction` is its answer to the same rows; without one `reason` says why."""

    name: str
    prediction: Floats | None = None
    reason: str = ""


@dataclass(frozen=True)
class Subject:
    """One model and the later rows that judge it.

    Args:
        task: Binary, multiclass or regression.
        classes: Names of the codes of a multiclass label; empty otherwise.
        inputs: Raw inputs of the test rows, n_rows, event time among them.
        event_time: Its column in `inputs`.
        features: What the feature function made of them, n_rows.
        label: (n_rows,) 0/1, class codes, or numbers.
        prediction: Calibrated, (n_rows,) or (n_rows, n_classes).
        day: Which day each row belongs to, (n_rows,); days, not rows, are what is resampled.
        predict: The whole path from raw inputs to calibrated predictions.
        model: What `training.packaging.model_code.predict_matrix` asks.
        columns: Names and categories of `matrix`'s columns.
        matrix: The encoded test rows, (n_rows, n_features).
        calibration: As in `calibration.json`.
        validation_label: Labels of the validation rows, (n_validation,).
        validation_prediction: Calibrated predictions of the validation rows, by a model that has not seen them.
        validation_day: Days of the validation rows, (n_validation,).
        baseline_label: Training labels, of which the trivial baseline is made.
        evaluate: What the use case asks for.
        metric: Name of the use case's metric.
        seed: Of resamples and samples.
        champion: The version to compare with; None when nothing is in traffic.
    """

    task: Task
    classes: tuple[str, ...]
    inputs: pl.DataFrame
    event_time: str
    features: pl.DataFrame
    label: Floats
    prediction: Floats
    day: Days
    predict: Callable[[pl.DataFrame], Floats]
    model: Any
    columns: Columns
    matrix: Matrix
    calibration: Mapping[str, Any]
    validation_label: Floats
    validation_prediction: Floats
    validation_day: Days
    baseline_label: Floats
    evaluate: Evaluate
    metric: str
    seed: int
    champion: Champion | None = None
