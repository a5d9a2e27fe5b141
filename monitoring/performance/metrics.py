"""Realised metrics of a window with intervals between days: how good the answers were, in the terms people know.

Each metric comes with what each row adds to its error (its influence), so that one sum by day gives the interval of
every metric, ranking included. Pure: arrays in, numbers out.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import stdtrit

from flywheel.statistics import Floats
from flywheel.usecase import Costs, Task
from monitoring.performance.realised import CONFIDENCE

Integers = npt.NDArray[np.int64]
Influences = Mapping[str, tuple[float, Floats]]
SHARES = frozenset({"roc_auc", "accuracy", "brier"})  # metrics that lie between 0 and 1


@dataclass(frozen=True)
class Metric:
    """One metric of a window.

    Attributes:
        value: Over all its rows.
        low: Lower bound, 95 %; None with fewer than two days.
        high: Upper bound.
        rows: Labelled rows.
        days: Days among them.
    """

    value: float
    low: float | None
    high: float | None
    rows: int
    days: int

    def body(self) -> dict[str, float | int | None]:
        """Return it as plain values."""
        return asdict(self)


def realised_metrics(labelled: pl.DataFrame, task: Task, costs: Costs | None = None) -> dict[str, Metric]:
    """Measure labelled rows; a metric that needs both classes is missing where only one occurs.

    Args:
        labelled: n_rows with `event_time`, `prediction`, `outcome` and `loss`, none of them null, as
            `monitoring.performance.answers.with_losses` gives them; `decided` (whether 1 was decided) where the
            threshold is not .5.
        task: binary has log_loss, roc_auc, accuracy, brier, calibration (mean prediction − share of 1) and cost (where
            the use case says costs); multiclass log_loss and accuracy; regression rmse, mae, bias.
        costs: Of wrong decisions.
    """
    if labelled.is_empty():
        return {}
    days = labelled["event_time"].dt.date().to_physical().to_numpy().astype(np.int64)
    loss = _numbers(labelled["loss"])
    if task == "multiclass":
        right = (labelled["prediction"] == labelled["outcome"]).to_numpy().astype(np.float64)
        found: Influences = {"log_loss": _mean(loss), "accuracy": _mean(right)}
    elif task == "regression":
        found = _of_numbers(_numbers(labelled["prediction"]), _numbers(labelled["outcome"]))
    else:
        found = {"log_loss": _mean(loss)} | _of_classes(labelled, costs)
    return {name: with_interval(name, value, influence, days) for name, (value, influence) in found.items()}


def metrics_by(
    labelled: pl.DataFrame, column: str, task: Task, costs: Costs | None = None
) -> dict[str, dict[str, Metric]]:
    """Measure the rows of each value of a column, such as `arm` or `model_version`, most rows first."""
    parts = labelled.with_columns(pl.col(column).fill_null("none")).partition_by(column, as_dict=True)
    ordered = sorted(parts.items(), key=lambda part: (-part[1].height, str(part[0][0])))
    return {str(key[0]): realised_metrics(rows, task, costs) for key, rows in ordered}


def with_interval(name: str, value: float, influence: Floats, days: Integers) -> Metric:
    """Return a metric with its interval by Student's t between days.

    Args:
        name: Of the metric; bounds of shares stay between 0 and 1.
        value: Over all rows.
        influence: What each row adds to the metric's error, (n_rows,), summing to about 0.
        days: The day of each row, (n_rows,).
    """
    unique, place = np.unique(days, return_inverse=True)
    count = len(unique)
    if count < 2:
        return Metric(value, None, None, len(days), count)
    sums = np.bincount(place, influence)
    error = math.sqrt(count / (count - 1) * float(sums @ sums))
    half = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) * error
    low, high = value - half, value + half
    if name in SHARES:
        low, high = max(low, 0.0), min(high, 1.0)
    return Metric(value, low, high, len(days), count)


def auc_influence(positive: npt.NDArray[np.bool_], score: Floats) -> tuple[float, Floats] | None:
    """Return the area under the ROC curve and each row's influence on it; None when only one class occurs.

    A positive row's is (share of negatives below it − area) / positives, a negative one's the mirror image: the
    structural components of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), summed over clusters as Obuchowski
    does (Biometrics 53, 1997).
    """
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if ones == 0 or zeros == 0:
        return None
    _, place = np.unique(score, return_inverse=True)
    positives, negatives = np.bincount(place, positive), np.bincount(place, ~positive)
    below = (np.cumsum(negatives) - negatives / 2) / zeros  # share of negatives below a score, ties counting half
    above = 1 - (np.cumsum(positives) - positives / 2) / ones
    area = float(below @ positives) / ones
    return area, np.where(positive, (below[place] - area) / ones, (above[place] - area) / zeros)


def _of_classes(labelled: pl.DataFrame, costs: Costs | None) -> dict[str, tuple[float, Floats]]:
    probability, label = _numbers(labelled["prediction"]), _numbers(labelled["outcome"]) > 0.5
    decided = labelled["decided"].to_numpy() if "decided" in labelled.columns else probability >= 0.5
    found = {
        "accuracy": _mean((decided == label).astype(np.float64)),
        "brier": _mean((probability - label) ** 2),
        "calibration": _mean(probability - label),
    }
    area = auc_influence(label, probability)
    if area is not None:
        found["roc_auc"] = area
    if costs is not None:
        found["cost"] = _mean(np.where(decided, ~label * costs.false_positive, label * costs.false_negative))
    return found


def _of_numbers(prediction: Floats, outcome: Floats) -> dict[str, tuple[float, Floats]]:
    error = prediction - outcome
    square, influence = _mean(error**2)
    root = math.sqrt(square)
    # The root's error is that of the mean square over twice the root.
    return {
        "rmse": (root, influence / (2 * root) if root > 0 else np.zeros(len(error))),
        "mae": _mean(np.abs(error)),
        "bias": _mean(error),
    }


def _mean(values: Floats) -> tuple[float, Floats]:
    mean = float(values.mean())
    return mean, (values - mean) / len(values)


def _numbers(column: pl.Series) -> Floats:
    return np.asarray(column.cast(pl.Float64).to_numpy(), dtype=np.float64)
