"""The metrics by which candidates are chosen and judged, by task; each one number from labels and predictions.

Shapes everywhere in training: label (n_rows,), as 0/1, class codes 0 … k−1, or numbers; prediction (n_rows,) for binary
(probability of 1) and regression, (n_rows, n_classes) for multiclass.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from flywheel.errors import SpecError
from flywheel.statistics import Floats, row_losses
from flywheel.usecase import Task

__all__ = ["METRICS", "Metric", "choose_metric", "row_losses"]

Measure = Callable[[Floats, Floats], float]


@dataclass(frozen=True)
class Metric:
    """One measure of quality. `less_is_better` says where it points; a test set of one class has no roc_auc (NaN)."""

    name: str
    measure: Measure
    less_is_better: bool

    def better(self, value: float, than: float) -> bool:
        """Say whether `value` is strictly better; a value that is no number never is."""
        return value < than if self.less_is_better else value > than


def _roc_auc(label: Floats, prediction: Floats) -> float:
    return float(roc_auc_score(label, prediction)) if len(np.unique(label)) == 2 else float("nan")


def _average_precision(label: Floats, prediction: Floats) -> float:
    return float(average_precision_score(label, prediction)) if label.any() else float("nan")


def _r2(label: Floats, prediction: Floats) -> float:
    spread = float(np.sum((label - label.mean()) ** 2))
    return 1 - float(np.sum((label - prediction) ** 2)) / spread if spread else float("nan")


METRICS: dict[Task, tuple[Metric, ...]] = {
    "binary": (
        Metric("log_loss", lambda y, p: float(row_losses("binary", y, p).mean()), less_is_better=True),
        Metric("roc_auc", _roc_auc, less_is_better=False),
        Metric("average_precision", _average_precision, less_is_better=False),
        Metric("brier", lambda y, p: float(np.mean((p - y) ** 2)), less_is_better=True),
    ),
    "multiclass": (
        Metric("log_loss", lambda y, p: float(row_losses("multiclass", y, p).mean()), less_is_better=True),
        Metric("accuracy", lambda y, p: float(np.mean(p.argmax(axis=1) == y)), less_is_better=False),
        Metric("macro_f1", lambda y, p: float(f1_score(y, p.argmax(axis=1), average="macro")), less_is_better=False),
    ),
    "regression": (
        Metric("rmse", lambda y, p: float(np.sqrt(np.mean((p - y) ** 2))), less_is_better=True),
        Metric("mae", lambda y, p: float(np.mean(np.abs(p - y))), less_is_better=True),
        Metric("r2", _r2, less_is_better=False),
    ),
}


def choose_metric(task: Task, name: str | None) -> Metric:
    """Look up the metric that a use case names; the task's first without a name.

    Raises:
        SpecError: The task has no such metric.
    """
    known = {metric.name: metric for metric in METRICS[task]}
    if name is None:
        return METRICS[task][0]
    if name not in known:
        raise SpecError(f"train.metric: '{name}' is no metric of task {task}. Choose from: {', '.join(known)}.")
    return known[name]
