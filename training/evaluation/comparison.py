"""Two models on the same rows: the paired difference of their losses, with days as the unit of evidence."""

import math

import numpy as np
from scipy.special import stdtr, stdtrit

from flywheel.statistics import Floats, clustered_error
from flywheel.usecase import Task
from training.evaluation.bootstrap import Scores
from training.evaluation.clusters import Clusters
from training.evaluation.report import Comparison, Interval
from training.metrics import row_losses

ALPHA = 0.05


def mean_error(values: Floats, clusters: Clusters) -> float:
    """Return the standard error of the mean of values (n_rows,) whose clusters are alike; infinite with one cluster."""
    return clustered_error(clusters.sums(values), np.bincount(clusters.code, minlength=clusters.count))


def compare(
    name: str,
    task: Task,
    label: Floats,
    ours: Floats,
    theirs: Floats,
    *,
    clusters: Clusters,
    scores: Scores,
    other: Scores,
) -> Comparison:
    """Compare predictions for the same rows; shapes (n_rows,) or (n_rows, n_classes).

    The test is Student's on the paired differences of row losses, with clustered standard error and one degree of
    freedom less than clusters (Cameron and Miller 2015, section VI.A). `scores` and `other` are the metrics of both
    on the same resamples; metrics that are no mean of row losses get their interval from there.
    """
    difference = row_losses(task, label, ours) - row_losses(task, label, theirs)
    mean, error = float(difference.mean()), mean_error(difference, clusters)
    freedom = clusters.count - 1
    p_value = _p_value(mean, error, freedom)
    width = float(stdtrit(freedom, 1 - ALPHA / 2)) * error if freedom > 0 and math.isfinite(error) else math.nan
    verdict = "undecided" if p_value >= ALPHA else "better" if mean < 0 else "worse"
    return Comparison(
        name=name,
        verdict=verdict,
        scores=dict(other.value),
        differences={metric: scores.difference(metric, other) for metric in scores.value},
        loss=Interval(value=mean, low=mean - width, high=mean + width),
        loss_error=error,
        p_value=p_value,
    )


def incomparable(name: str, reason: str) -> Comparison:
    """Say why there is no comparison."""
    return Comparison(name=name, verdict="none", reason=reason)


def _p_value(mean: float, error: float, freedom: int) -> float:
    if mean == 0 or freedom < 1 or not math.isfinite(error):
        return 1.0
    return 2 * float(stdtr(freedom, -abs(mean) / error)) if error > 0 else 0.0
