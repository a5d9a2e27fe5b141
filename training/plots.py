"""Figures for people: ROC, calibration, importance, optimisation history. Drawn without pyplot, which holds state."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from flywheel.statistics import Floats
from training.evaluate import Scores, calibration

INK, ACCENT, QUIET = "#1f2933", "#2563eb", "#9aa5b1"


def figures(
    label: Floats,
    probability: Floats,
    scores: Scores,
    importances: Mapping[str, float],
    history: Sequence[float],
    metric: str,
) -> dict[str, Figure]:
    """Draw all figures, by file name; label and probability are those of the validation rows, shape (n_rows,)."""
    return {
        "roc.png": roc(label, probability, scores),
        "calibration.png": calibration_plot(label, probability, scores),
        "importance.png": importance_plot(importances),
        "optimisation.png": optimisation(history, metric),
    }


def roc(label: Floats, probability: Floats, scores: Scores) -> Figure:
    """Draw the receiver operating characteristic against chance."""
    figure, axes = _canvas("ROC on validation rows", "false positive rate", "true positive rate")
    false_rate, true_rate, _ = roc_curve(label, probability)
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1, label="chance")
    axes.plot(false_rate, true_rate, color=ACCENT, linewidth=2, label=f"AUC {scores.roc_auc:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def calibration_plot(label: Floats, probability: Floats, scores: Scores) -> Figure:
    """Draw observed shares over mean probabilities, in bins of equal size, with 95 % binomial bars."""
    figure, axes = _canvas("Calibration on validation rows", "mean predicted probability", "observed share")
    bins = calibration(label, probability)
    means, shares, rows = (np.array(part) for part in zip(*bins, strict=True))
    bars = 1.96 * np.sqrt(shares * (1 - shares) / rows)
    top = min(1.0, 1.1 * float(max(means.max(), (shares + bars).max())))
    axes.plot([0, top], [0, top], color=QUIET, linestyle="--", linewidth=1, label="perfect")
    axes.errorbar(
        means,
        shares,
        yerr=bars,
        color=ACCENT,
        marker="o",
        markersize=4,
        capsize=3,
        label=f"error {scores.calibration_error:.3f}",
    )
    axes.set(xlim=(0, top), ylim=(0, top), aspect="equal")
    axes.legend(loc="upper left", frameon=False)
    return figure


def importance_plot(importances: Mapping[str, float], most: int = 20) -> Figure:
    """Draw by how much the log-loss rises when a feature is shuffled, the largest on top."""
    figure, axes = _canvas("Importance: rise of the log-loss when shuffled", "nats", "")
    names = list(importances)[:most][::-1]
    axes.barh(names, [importances[name] for name in names], color=ACCENT)
    axes.axvline(0, color=INK, linewidth=0.8)
    return figure


def optimisation(history: Sequence[float], metric: str) -> Figure:
    """Draw each trial's value and the best so far."""
    figure, axes = _canvas("Optimisation history", "trial", f"validation {metric}")
    best = np.minimum.accumulate(history) if metric == "log_loss" else np.maximum.accumulate(history)
    numbers = np.arange(len(history))
    axes.scatter(numbers, history, color=QUIET, label="trial")
    axes.step(numbers, best, where="post", color=ACCENT, linewidth=2, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure


def _canvas(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.8), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, color=INK, loc="left", fontsize=11)
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
