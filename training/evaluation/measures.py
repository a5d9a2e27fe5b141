"""All metrics of a task at once for many resamples of clusters, without touching the rows again where sums suffice.

A resample is a vector of weights, how often each cluster was drawn; weights has shape (n_resamples, n_clusters).
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.evaluation.clusters import Clusters
from training.metrics import Measure, Metric, row_losses

Fast = Callable[[Floats, Floats, Clusters, Floats], Floats]

CHUNK = 64  # resamples whose row weights are in memory at once


def replicate(
    metrics: tuple[Metric, ...], task: Task, label: Floats, prediction: Floats, *, clusters: Clusters, weights: Floats
) -> dict[str, Floats]:
    """Return the metrics for every resample by their names, each (n_resamples,); NaN where one is not defined.

    Args:
        metrics: Those of `training.metrics`; one that has no fast form here is measured on the drawn rows themselves.
        task: Of the labels.
        label: (n_rows,).
        prediction: (n_rows,) or (n_rows, n_classes).
        clusters: Of the rows.
        weights: (n_resamples, n_clusters).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            metric.name: FAST[task][metric.name](label, prediction, clusters, weights)
            if metric.name in FAST[task]
            else _by_rows(metric.measure, label, prediction, clusters, weights)
            for metric in metrics
        }


def _mean(values: Callable[[Floats, Floats], Floats]) -> Fast:
    """Make the fast form of a metric that is the mean of what `values` says of each row."""

    def measure(label: Floats, prediction: Floats, clusters: Clusters, weights: Floats) -> Floats:
        return (weights @ clusters.sums(values(label, prediction))) / (weights @ clusters.rows)

    return measure


def _rmse(label: Floats, prediction: Floats, clusters: Clusters, weights: Floats) -> Floats:
    return np.sqrt(_mean(_squared_error)(label, prediction, clusters, weights))


def _r2(label: Floats, prediction: Floats, clusters: Clusters, weights: Floats) -> Floats:
    rows = weights @ clusters.rows
    squared = weights @ clusters.sums(_squared_error(label, prediction))
    centred = label - label.mean()  # sums of squares of large numbers lose their digits
    first, second = weights @ clusters.sums(centred), weights @ clusters.sums(centred**2)
    spread = second - first**2 / rows
    return np.where(spread > 1e-12 * second, 1 - squared / spread, np.nan)


def _macro_f1(label: Floats, prediction: Floats, clusters: Clusters, weights: Floats) -> Floats:
    """Average over the classes that occur among labels or guesses of the resample, as scikit-learn."""
    one = np.eye(prediction.shape[1])
    is_label, is_guess = one[label.astype(np.int64)], one[prediction.argmax(axis=1)]
    hits = weights @ clusters.sums(is_label * is_guess)
    either = weights @ clusters.sums(is_label + is_guess)
    f1 = np.where(either > 0, 2 * hits / either, 0)
    return np.asarray(f1.sum(axis=1) / (either > 0).sum(axis=1), dtype=np.float64)


def _roc_auc(label: Floats, score: Floats, clusters: Clusters, weights: Floats) -> Floats:
    """Weigh, for each two clusters, how many pairs of a positive of one and a negative of the other are in order."""
    positive = label == 1
    ones, ones_code = score[positive], clusters.code[positive]
    ordered = np.zeros((clusters.count, clusters.count))
    order = np.argsort(clusters.code[~positive], kind="stable")
    sizes = np.bincount(clusters.code[~positive], minlength=clusters.count)
    for index, part in enumerate(np.split(score[~positive][order], np.cumsum(sizes)[:-1])):
        part.sort()
        below = (np.searchsorted(part, ones, "left") + np.searchsorted(part, ones, "right")) / 2
        ordered[:, index] = np.bincount(ones_code, weights=below, minlength=clusters.count)
    won = np.einsum("bi,ij,bj->b", weights, ordered, weights, optimize=True)
    pairs = (weights @ np.bincount(ones_code, minlength=clusters.count)) * (weights @ sizes)
    return np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1), np.nan)


def _average_precision(label: Floats, score: Floats, clusters: Clusters, weights: Floats) -> Floats:
    """Sum precision over steps of recall, rows in falling score, equal scores as one step (as scikit-learn)."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True)) if len(order) else order
    code, positive = clusters.code[order], label[order]
    found = np.empty(len(weights))
    for start in range(0, len(weights), CHUNK):
        drawn = weights[start : start + CHUNK][:, code]
        above = np.cumsum(drawn, axis=1)[:, ends]
        hits = np.cumsum(drawn * positive, axis=1)[:, ends]
        precision = hits / np.where(above > 0, above, 1)
        steps = np.diff(hits, axis=1, prepend=0)
        found[start : start + CHUNK] = (steps * precision).sum(axis=1) / hits[:, -1]
    return found


def _by_rows(measure: Measure, label: Floats, prediction: Floats, clusters: Clusters, weights: Floats) -> Floats:
    """Measure any metric on the drawn rows themselves; slow."""
    drawn = weights.astype(np.int64)
    found = np.empty(len(weights))
    for index, times in enumerate(drawn):
        rows = np.repeat(np.arange(len(label)), times[clusters.code])
        found[index] = measure(label[rows], prediction[rows]) if len(rows) else np.nan
    return found


def _squared_error(label: Floats, prediction: Floats) -> Floats:
    return (prediction - label) ** 2


FAST: dict[Task, dict[str, Fast]] = {
    "binary": {
        "log_loss": _mean(partial(row_losses, "binary")),
        "roc_auc": _roc_auc,
        "average_precision": _average_precision,
        "brier": _mean(_squared_error),
    },
    "multiclass": {
        "log_loss": _mean(partial(row_losses, "multiclass")),
        "accuracy": _mean(lambda label, prediction: (prediction.argmax(axis=1) == label).astype(np.float64)),
        "macro_f1": _macro_f1,
    },
    "regression": {
        "rmse": _rmse,
        "mae": _mean(lambda label, prediction: np.abs(prediction - label)),
        "r2": _r2,
    },
}
