"""Picture of calibration: what was predicted against what came true, before and after the correction."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flywheel.statistics import Floats
from training.evaluation.plots.canvas import ACCENT, INK, QUIET, dress
from training.evaluation.report import Bin, Calibration


def calibration_plot(calibration: Calibration, prediction: Floats) -> Figure:
    """Draw observed shares over mean predictions, bins of equal size, above how the predictions are spread.

    Args:
        calibration: Its bins; of several classes they speak of the likeliest one.
        prediction: (n_rows,) or (n_rows, n_classes), after the correction.
    """
    figure = Figure(figsize=(5.4, 6.4), dpi=110, layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[4, 1], sharex=True)
    several = prediction.ndim == 2
    what = "probability of the likeliest class" if several else "predicted probability"
    dress(above, "Calibration on test rows", "", "share that is right" if several else "observed share of label 1")
    dress(below, "", f"mean {what}", "rows")
    _bins(above, calibration, several)
    below.hist(prediction.max(axis=1) if several else prediction, bins=40, color=QUIET)
    return figure


def _bins(axes: Axes, calibration: Calibration, several: bool) -> None:
    means, shares, rows = _arrays(calibration.bins_after)
    bars = 1.96 * np.sqrt(np.maximum(shares * (1 - shares), 1 / (4 * rows)) / rows)
    ends = np.concatenate([means, shares, *_arrays(calibration.bins_before)[:2]])
    top = min(1.0, float(ends.max()) * 1.08 + 0.02)
    bottom = max(0.0, float(ends.min()) - 0.05) if several else 0.0
    axes.plot([bottom, top], [bottom, top], color=QUIET, linestyle="--", linewidth=1, label="perfect")
    if calibration.method != "none":
        before_means, before_shares, _ = _arrays(calibration.bins_before)
        label = f"before: error {calibration.error_before:.3f}"
        axes.plot(
            before_means, before_shares, color=INK, alpha=0.45, marker="s", markersize=3.5, linewidth=1, label=label
        )
    corrected = "as the model says" if calibration.method == "none" else f"after {calibration.method}"
    axes.errorbar(
        means,
        shares,
        yerr=bars,
        color=ACCENT,
        marker="o",
        markersize=4.5,
        capsize=3,
        label=f"{corrected}: error {calibration.error_after:.3f}",
    )
    axes.set(xlim=(bottom, top), ylim=(bottom, top))
    axes.legend(loc="upper left", frameon=False)


def _arrays(bins: tuple[Bin, ...]) -> tuple[Floats, Floats, Floats]:
    return (
        np.array([part.predicted for part in bins]),
        np.array([part.observed for part in bins]),
        np.array([float(part.rows) for part in bins]),
    )
