"""Pictures for binary labels: how well probabilities rank rows, and what decisions by them cost."""

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from flywheel.statistics import Floats
from flywheel.usecase import Costs
from training.evaluation.plots.canvas import ACCENT, INK, QUIET, WARN, canvas
from training.evaluation.report import Decision, Interval

CURVE_POINTS = 400


def roc(label: Floats, prediction: Floats, area: Interval, champion: Floats | None) -> Figure:
    """Draw the receiver operating characteristic against chance, and the champion's."""
    figure, axes = canvas("ROC on test rows", "false positive rate", "true positive rate", width=5.4, height=5.2)
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1, label="chance")
    false_rate, true_rate, _ = roc_curve(label, prediction)
    axes.plot(false_rate, true_rate, color=ACCENT, linewidth=2, label=f"AUC {_show(area)}")
    if champion is not None:
        area_of_champion = f"champion: AUC {roc_auc_score(label, champion):.3f}"
        axes.plot(*roc_curve(label, champion)[:2], color=WARN, linewidth=1.2, linestyle="--", label=area_of_champion)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def precision_recall(label: Floats, prediction: Floats, area: Interval, champion: Floats | None) -> Figure:
    """Draw precision over recall against the share of positives, and the champion's."""
    figure, axes = canvas("Precision and recall on test rows", "recall", "precision", width=5.4, height=5.2)
    share = float(label.mean())
    axes.axhline(share, color=QUIET, linestyle="--", linewidth=1, label=f"share of label 1: {share:.3f}")
    precision, recall, _ = precision_recall_curve(label, prediction)
    axes.plot(recall, precision, color=ACCENT, linewidth=2, label=f"average precision {_show(area)}")
    if champion is not None:
        precision, recall, _ = precision_recall_curve(label, champion)
        area_of_champion = f"champion: {average_precision_score(label, champion):.3f}"
        axes.plot(recall, precision, color=WARN, linewidth=1.2, linestyle="--", label=area_of_champion)
    axes.set(xlim=(0, 1), ylim=(0, 1.005))
    axes.legend(loc="best", frameon=False)
    return figure


def costs_plot(label: Floats, prediction: Floats, costs: Costs, decision: Decision) -> Figure:
    """Draw the cost per row over all thresholds, with the one in use and the Bayes threshold."""
    figure, axes = canvas("Cost of decisions on test rows", "threshold", "cost per row")
    thresholds = np.linspace(0, 1, CURVE_POINTS)
    order = np.argsort(prediction)
    below = np.searchsorted(prediction[order], thresholds, "left")
    ones = np.concatenate([[0.0], np.cumsum(label[order])])
    zeros = np.concatenate([[0.0], np.cumsum(1 - label[order])])
    total = ones[below] * costs.false_negative + (zeros[-1] - zeros[below]) * costs.false_positive
    axes.plot(thresholds, total / len(label), color=ACCENT, linewidth=2)
    axes.axhline(label.mean() * costs.false_negative, color=QUIET, linewidth=1, linestyle=":", label="always decide 0")
    axes.axhline(
        (1 - label).mean() * costs.false_positive, color=QUIET, linewidth=1, linestyle="--", label="always decide 1"
    )
    axes.axvline(min(decision.threshold, 1), color=INK, linewidth=1.4, label=f"in use: {decision.threshold:.3f}")
    if decision.used != "bayes":
        axes.axvline(decision.bayes, color=WARN, linewidth=1, linestyle="--", label=f"Bayes: {decision.bayes:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.legend(frameon=False, loc="best")
    return figure


def _show(area: Interval) -> str:
    if area.value is None:
        return "unknown"
    if area.low is None or area.high is None:
        return f"{area.value:.3f}"
    return f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})"
