"""How good probabilities are: scores with their standard error, and what moves them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from flywheel.statistics import SMALLEST_PROBABILITY, Floats, clustered_error

BINS = 10


@dataclass(frozen=True)
class Scores:
    """Quality on `rows` labelled rows. Losses: less is better; roc_auc: 0.5 is chance, 1 is perfect."""

    rows: int
    label_share: float
    log_loss: float
    log_loss_se: float
    roc_auc: float
    brier: float
    calibration_error: float

    def metrics(self) -> dict[str, float]:
        """Return the scores by the names under which MLflow shows them."""
        return {f"validation_{name}": float(value) for name, value in vars(self).items()}


def row_losses(label: Floats, probability: Floats) -> Floats:
    """Return the log-loss of each row, in nats; shapes (n_rows,)."""
    safe = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.asarray(-(label * np.log(safe) + (1 - label) * np.log1p(-safe)), dtype=np.float64)


def mean_error(values: Floats, cluster: npt.NDArray[Any]) -> float:
    """Return the standard error of the mean of `values` when rows of one cluster (a day) resemble each other.

    With fewer than two clusters the rows count as independent.
    """
    names, codes, rows = np.unique(cluster, return_inverse=True, return_counts=True)
    if len(names) < 2:
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return clustered_error(np.asarray(np.bincount(codes, weights=values), dtype=np.float64), rows)


def calibration(label: Floats, probability: Floats, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Return (mean probability, observed share, rows) by bins of about equal size, in rising probability."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [(float(probability[part].mean()), float(label[part].mean()), len(part)) for part in parts]


def score(label: Floats, probability: Floats, day: npt.NDArray[Any]) -> Scores:
    """Score probabilities against labels, of which both 0 and 1 occur; shapes (n_rows,).

    `day` names the cluster of each row for the standard error.
    """
    losses = row_losses(label, probability)
    bins = calibration(label, probability)
    return Scores(
        rows=len(label),
        label_share=float(label.mean()),
        log_loss=float(losses.mean()),
        log_loss_se=mean_error(losses, day),
        roc_auc=float(roc_auc_score(label, probability)),
        brier=float(np.mean((probability - label) ** 2)),
        calibration_error=sum(abs(mean - share) * rows for mean, share, rows in bins) / len(label),
    )


def importance(predict: Callable[[Any], Floats], frame: Any, label: Floats, seed: int) -> dict[str, float]:
    """Return by how much the log-loss rises (nats) when one feature is shuffled among the rows, largest first.

    Permutation importance (Breiman 2001, Random Forests, section 10): the same measure for every family.

    Args:
        predict: Gives probabilities (n_rows,) for a frame.
        frame: Estimator input, n_rows by n_features; a sample keeps this fast.
        label: 0 or 1, (n_rows,).
        seed: Of the shuffles.
    """
    random = np.random.default_rng(seed)
    base = row_losses(label, predict(frame)).mean()
    rises = {}
    for name in frame.columns:
        shuffled = frame.copy()
        shuffled[name] = shuffled[name].to_numpy()[random.permutation(len(frame))]
        rises[str(name)] = float(row_losses(label, predict(shuffled)).mean() - base)
    return dict(sorted(rises.items(), key=lambda item: -item[1]))
