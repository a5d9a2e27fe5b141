"""Statistics that training, monitoring and the demo must compute in the same way; arrays in, numbers out."""

import math

import numpy as np
import numpy.typing as npt

from flywheel.usecase import Task

Floats = npt.NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-15  # a model that says exactly 0 and errs costs 34.5 nats instead of infinity


def row_losses(task: Task, label: Floats, prediction: Floats) -> Floats:
    """Return the loss of each row, (n_rows,): log-loss in nats for classes, the squared error for numbers.

    Args:
        task: Which of the three.
        label: (n_rows,): 0 or 1 for binary, codes of classes for multiclass, numbers for regression.
        prediction: (n_rows,): the probability of 1, or a number; (n_rows, n_classes) for multiclass.
    """
    if task == "regression":
        return np.asarray((prediction - label) ** 2, dtype=np.float64)
    if task == "binary":
        safe = np.clip(prediction, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        return np.asarray(-(label * np.log(safe) + (1 - label) * np.log1p(-safe)), dtype=np.float64)
    own = prediction[np.arange(len(label)), label.astype(np.int64)]
    return np.asarray(-np.log(np.clip(own, SMALLEST_PROBABILITY, 1)), dtype=np.float64)


def area_under_curve(positive: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> float | None:
    """Return the area under the ROC curve of `score`, None when only one class occurs; both of shape (n_rows,).

    It is the Mann-Whitney statistic over all pairs, ties counting half (Hanley and McNeil, Radiology 143, 1982).
    """
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if ones == 0 or zeros == 0:
        return None
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]  # rows with equal scores share the mean of their ranks
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def clustered_error(totals: Floats, rows: npt.NDArray[np.integer]) -> float:
    """Return the standard error of a mean over rows that resemble each other within clusters, such as days.

    Taylor's linearisation of a ratio of two sums over clusters, Σ(y_d − r n_d)² · G/(G−1) / (Σ n_d)², with G clusters
    (Cochran, Sampling Techniques, 3rd edition, 1977, sections 6.5 and 9A). It is the cluster-robust variance of Cameron
    and Miller (2015), A Practitioner's Guide to Cluster-Robust Inference, section II.B.

    Args:
        totals: Sum of the values in each cluster, shape (n_clusters,).
        rows: Rows in each cluster, none of them 0, shape (n_clusters,).

    Returns:
        The standard error; infinite with fewer than two clusters.
    """
    clusters = len(rows)
    if clusters < 2:
        return math.inf
    residuals = totals - totals.sum() / rows.sum() * rows
    return float(np.sqrt(clusters / (clusters - 1) * np.sum(residuals**2)) / rows.sum())
