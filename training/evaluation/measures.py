"""All metrics of a task at once for many resamples of clusters, without touching the rows again where sums suffice.

A resample is a vector of weights, how often each cluster was drawn; weights has shape (n_resamples, n_clusters).
"""

import numpy as np

from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.evaluation.clusters import Clusters
from training.metrics import METRICS, Measure, row_losses

CHUNK = 64  # resamples whose row weights are in memory at once


def replicate(
    task: Task, label: Floats, prediction: Floats, clusters: Clusters, weights: Floats
) -> dict[str, Floats]:
    """Return every metric of the task for every resample, each (n_resamples,); NaN where it is not defined.

    Args:
        task: Its metrics are those of `training.metrics`.
        label: (n_rows,).
        prediction: (n_rows,) or (n_rows, n_classes).
        clusters: Of the rows.
        weights: (n_resamples, n_clusters).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[task](
            label, prediction, clusters, weights
        )
    for metric in METRICS[task]:
        if metric.name not in found:
            found[metric.name] = _by_rows(metric.measure, label, prediction, clusters, weights)
    return {metric.name: found[metric.name] for metric in METRICS[task]}


def _binary(label: Floats, prediction: Floats, clusters: Clusters, weights: Floats) -> dict[str, Floats]:
    rows = weights @ clusters.rows
    return {
        "log_loss": weights @ clusters.sums(row_losses("binary", label, prediction)) / rows,
        "roc_auc": _roc_auc(label, prediction, clusters, weights),
        "average_precision": _average_precision(label, prediction, clusters, weights),
        "brier": weights @ clusters.sums((prediction - label) ** 2) / rows,
    }


def _multiclass(label: Floats, prediction: Floats, clusters: Clusters, weights: Floats) -> dict[str, Floats]:
    rows = weights @ clusters.rows
    guess, classes = prediction.argmax(axis=1), prediction.shape[1]
    is_label, is_guess = np.eye(classes)[label.astype(np.int64)], np.eye(classes)[guess]
    hits = weights @ clusters.sums(is_label * is_guess)
    either = weights @ clusters.sums(is_label + is_guess)
    # As scikit-learn: the mean over classes that occur among labels or guesses of the resample.
    f1 = np.where(either > 0, 2 * hits / np.where(either > 0, either, 1), np.nan)
    return {
        "log_loss": weights @ clusters.sums(row_losses("multiclass", label, prediction)) / rows,
        "accuracy": hits.sum(axis=1) / rows,
        "macro_f1": np.nansum(f1, axis=1) / (either > 0).sum(axis=1),
    }


def _regression(label: Floats, prediction: Floats, clusters: Clusters, weights: Floats) -> dict[str, Floats]:
    rows = weights @ clusters.rows
    squared = weights @ clusters.sums((prediction - label) ** 2)
    centred = label - label.mean()  # sums of squares of large numbers lose their digits
    first, second = weights @ clusters.sums(centred), weights @ clusters.sums(centred**2)
    spread = second - first**2 / rows
    return {
        "rmse": np.sqrt(squared / rows),
        "mae": weights @ clusters.sums(np.abs(prediction - label)) / rows,
        "r2": np.where(spread > 1e-12 * second, 1 - squared / spread, np.nan),
    }


def _roc_auc(label: Floats, score: Floats, clusters: Clusters, weights: Floats) -> Floats:
    """Weigh, for each pair of clusters, how many pairs of a positive of one and a negative of the other are in order."""
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
