"""How probabilities are corrected: chosen on the validation rows, by what helps on days the correction has not seen."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from sklearn.isotonic import IsotonicRegression

from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.evaluation.clusters import Clusters, cluster
from training.evaluation.comparison import mean_error
from training.evaluation.folds import blocks
from training.evaluation.report import Bin, Calibration
from training.evaluation.subject import Days
from training.metrics import row_losses
from training.packaging.model_code import calibrate

Method = Literal["none", "platt", "isotonic"]

SIMPLEST_FIRST: tuple[Method, ...] = ("none", "platt", "isotonic")
BINS = 10
NEAR = 1e-7  # probabilities are kept so far from 0 and 1 before their logit is taken, as `calibrate` does


def choose_calibration(
    task: Task,
    label: Floats,
    prediction: Floats,
    day: Days,
    wish: Literal["auto", "none", "isotonic", "platt"] = "auto",
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Choose how predictions are corrected, and fit that on all rows.

    With `auto` each method is fitted on four fifths of the days and scored by log-loss on the others, in turn. The
    simplest method wins that is worse than the best by at most one standard error of the paired difference.

    Args:
        task: Regression is never corrected.
        label: Validation labels, (n_rows,).
        prediction: Validation predictions by a model that has not seen these rows, (n_rows,) or (n_rows, n_classes).
        day: (n_rows,).
        wish: What the use case asks for.
        seed: Of the groups of rows where there are too few days.

    Returns:
        `calibration.json`, as `training.packaging.model_code.calibrate` takes it.
    """
    if task == "regression" or wish == "none" or len(np.unique(label)) < 2:
        return {"method": "none"}
    if wish != "auto":
        return fit_calibration(wish, label, prediction)
    clusters = cluster(day, seed)
    losses = {method: _held_out_losses(method, task, label, prediction, clusters) for method in SIMPLEST_FIRST}
    best = min(SIMPLEST_FIRST, key=lambda method: float(losses[method].mean()))
    for method in SIMPLEST_FIRST:
        more = losses[method] - losses[best]
        if method == best or more.mean() <= mean_error(more, clusters):
            return fit_calibration(method, label, prediction)
    raise AssertionError("the best method is among the methods")


def fit_calibration(method: Method, label: Floats, prediction: Floats) -> dict[str, Any]:
    """Fit one method to labels (n_rows,) and predictions; of several classes each against the rest."""
    if method == "none":
        return {"method": "none"}
    columns = prediction[:, None] if prediction.ndim == 1 else prediction
    hits = [label == (1 if prediction.ndim == 1 else code) for code in range(columns.shape[1])]
    fits = [
        (_platt if method == "platt" else _isotonic)(hit, column) for hit, column in zip(hits, columns.T, strict=True)
    ]
    first, second = ("a", "b") if method == "platt" else ("x", "y")
    return {"method": method, first: [fit[0] for fit in fits], second: [fit[1] for fit in fits]}


def measure_calibration(
    task: Task, label: Floats, before: Floats, after: Floats, calibration: Mapping[str, Any]
) -> Calibration:
    """Compare predictions before and after their correction; of several classes the likeliest is looked at."""
    bins = [calibration_bins(*_events(task, label, prediction)) for prediction in (before, after)]
    return Calibration(
        method=str(calibration["method"]),
        error_before=calibration_error(bins[0]),
        error_after=calibration_error(bins[1]),
        bins_before=bins[0],
        bins_after=bins[1],
    )


def calibration_bins(label: Floats, prediction: Floats, bins: int = BINS) -> tuple[Bin, ...]:
    """Cut rows into bins of about equal size in rising prediction; both (n_rows,)."""
    order = np.argsort(prediction, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return tuple(
        Bin(predicted=float(prediction[part].mean()), observed=float(label[part].mean()), rows=len(part))
        for part in parts
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected calibration error: the mean gap of the bins, by rows (Guo et al. 2017)."""
    rows = sum(part.rows for part in bins)
    return sum(abs(part.predicted - part.observed) * part.rows for part in bins) / rows if rows else float("nan")


def _events(task: Task, label: Floats, prediction: Floats) -> tuple[Floats, Floats]:
    if task != "multiclass":
        return label, prediction
    return (prediction.argmax(axis=1) == label).astype(np.float64), prediction.max(axis=1)


def _held_out_losses(method: Method, task: Task, label: Floats, prediction: Floats, clusters: Clusters) -> Floats:
    corrected = np.array(prediction, dtype=np.float64)
    for fitted, held_out in blocks(clusters):
        calibration = fit_calibration(method, label[fitted], prediction[fitted])
        corrected[held_out] = calibrate(prediction[held_out], calibration)
    return row_losses(task, label, corrected)


def _platt(hit: Any, prediction: Floats) -> tuple[float, float]:
    """Fit a and b of 1 / (1 + exp(−(a logit p + b))) by Newton's method, targets drawn in as in Platt (1999)."""
    ones, zeros = int(hit.sum()), int((~hit).sum())
    if ones == 0 or zeros == 0:
        return 1.0, 0.0
    target = np.where(hit, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    safe = np.clip(prediction, NEAR, 1 - NEAR)
    design = np.column_stack([np.log(safe) - np.log1p(-safe), np.ones(len(safe))])
    found = np.array([1.0, 0.0])
    for _ in range(100):
        fitted = _logistic(design @ found)
        slope = design.T @ (target - fitted)
        curve = (design * (fitted * (1 - fitted))[:, None]).T @ design + 1e-9 * len(safe) * np.eye(2)
        step = np.linalg.solve(curve, slope)
        found = found + step * min(1.0, 2 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-9:
            break
    if found[0] <= 0 or not np.isfinite(found).all():  # a correction must not turn the order of rows round
        share = (ones + 1) / (ones + zeros + 2)
        return 0.0, float(np.log(share) - np.log1p(-share))
    return float(found[0]), float(found[1])


def _isotonic(hit: Any, prediction: Floats) -> tuple[list[float], list[float]]:
    """Fit a rising line through the shares; kept off 0 and 1, which a few rows cannot show."""
    if hit.all() or not hit.any():
        return [0.0, 1.0], [0.0, 1.0]
    edge = 1 / (len(hit) + 2)
    fitted = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(
        prediction, hit.astype(np.float64)
    )
    return fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist()


def _logistic(margin: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(margin, -700, 700))), dtype=np.float64)
