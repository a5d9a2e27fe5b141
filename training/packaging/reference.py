"""The reference of a version: profile and sample of the test rows, which no fit has seen.

Monitoring compares what comes later with it. Neither holds a key; the profile holds no rare category.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.contract import Contract
from flywheel.profile import Profile, Reference
from flywheel.profiling.watched import PREDICTION
from flywheel.statistics import Floats, area_under_curve, clustered_error
from flywheel.usecase import Task
from training.checks.profiling import profile_column
from training.metrics import row_losses

REFERENCE_ROWS = 5000


@dataclass(frozen=True)
class TestRows:
    """Raw inputs (the contract's columns) of n_rows test rows in order of time, labels and calibrated predictions.

    `label` is (n_rows,), coded; `prediction` (n_rows,) or (n_rows, n_classes), of the model that has not seen the rows.
    """

    __test__ = False  # pytest collects classes by this beginning

    inputs: pl.DataFrame
    label: Floats
    prediction: Floats


def predicted(prediction: Floats, task: Task, classes: tuple[str, ...]) -> pl.Series:
    """Return predictions as they are logged: numbers, or the class with the highest probability.

    Args:
        prediction: (n_rows,) or (n_rows, n_classes), calibrated.
        task: Of the use case.
        classes: Names of the codes, for multiclass.
    """
    if task == "multiclass":
        return pl.Series(PREDICTION, np.asarray(classes, dtype=object)[prediction.argmax(axis=1)], pl.String)
    return pl.Series(PREDICTION, prediction)


def labelled(rows: TestRows, task: Task, classes: tuple[str, ...]) -> pl.Series:
    """Return the label of each row as outcomes tell it: 0 or 1, the class's name, or a number."""
    if task == "multiclass":
        return pl.Series("label", [classes[int(code)] for code in rows.label], pl.String)
    return pl.Series("label", rows.label).cast(pl.Int8 if task == "binary" else pl.Float64)


def sampled(rows: TestRows, *, seed: int) -> pl.Series:
    """Choose at most `REFERENCE_ROWS` of the test rows; return their places in order."""
    places = pl.int_range(rows.inputs.height, eager=True)
    return places.sample(min(REFERENCE_ROWS, len(places)), seed=seed).sort()


def reference_sample(rows: TestRows, places: pl.Series, task: Task, classes: tuple[str, ...]) -> pl.DataFrame:
    """Return the test rows at `places`: inputs, `prediction` and `label`, no key."""
    return rows.inputs.with_columns(predicted(rows.prediction, task, classes), labelled(rows, task, classes))[places]


def make_profile(rows: TestRows, contract: Contract, task: Task, classes: tuple[str, ...]) -> Profile:
    """Summarise the test rows, their predictions and losses.

    `label_share` is the share of ones, of the commonest class, or for numbers the mean of the labels.
    """
    times = rows.inputs[contract.event_time]
    losses = row_losses(task, rows.label, rows.prediction)
    prediction = predicted(rows.prediction, task, classes)
    return Profile(
        rows=rows.inputs.height,
        start=times.item(0),
        end=times.item(-1),
        label_share=_label_share(rows.label, task),
        reference=Reference(
            loss_name="squared_error" if task == "regression" else "log_loss",
            loss=float(losses.mean()),
            standard_error=mean_error(losses, times.dt.epoch("d").to_numpy()),
            rows=len(losses),
            roc_auc=area_under_curve(rows.label > 0, rows.prediction) if task == "binary" else None,
        ),
        columns=tuple(profile_column(rows.inputs[column.name], column.type) for column in contract.columns),
        prediction=profile_column(prediction, "string" if task == "multiclass" else "double"),
    )


def _label_share(label: Floats, task: Task) -> float:
    if task == "multiclass":
        return float(np.bincount(label.astype(np.int64)).max() / len(label))
    return float(label.mean())


def mean_error(values: Floats, day: npt.NDArray[np.integer]) -> float:
    """Return the standard error of the mean of `values`, (n_rows,), when rows of one day resemble each other.

    With fewer than two days the rows count as independent.
    """
    names, codes, rows = np.unique(day, return_inverse=True, return_counts=True)
    if len(names) < 2:
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return clustered_error(np.asarray(np.bincount(codes, weights=values), dtype=np.float64), rows)
