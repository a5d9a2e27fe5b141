"""Picture for regression: predictions against labels, and what is left over."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flywheel.statistics import Floats
from training.evaluation.plots.canvas import ACCENT, INK, WARN, dress, panels

FEW = 1500  # up to so many rows are drawn as points, more as a density
BINS = 12


def residuals(label: Floats, prediction: Floats) -> Figure:
    """Draw labels over predictions and residuals over predictions, with their median by bins; both (n_rows,)."""
    figure, (left, right) = panels(2, width=10.4, height=4.8)
    low, high = np.quantile(np.concatenate([label, prediction]), [0.001, 0.999])
    room = 0.04 * (high - low) or 1.0
    limits = (float(low - room), float(high + room))
    dress(left, "Labels over predictions, test rows", "predicted", "label")
    _rows(left, prediction, label)
    left.plot(limits, limits, color=INK, linewidth=1, linestyle="--")
    left.set(xlim=limits, ylim=limits)
    dress(right, "Residuals, test rows", "predicted", "label − predicted")
    _rows(right, prediction, label - prediction)
    right.axhline(0, color=INK, linewidth=1, linestyle="--")
    parts = [part for part in np.array_split(np.argsort(prediction, kind="stable"), BINS) if len(part)]
    centres = [float(np.median(prediction[part])) for part in parts]
    for quantile, style, name in ((0.5, "-", "median"), (0.1, ":", "10 % and 90 %"), (0.9, ":", None)):
        levels = [float(np.quantile(label[part] - prediction[part], quantile)) for part in parts]
        right.plot(centres, levels, color=WARN, linestyle=style, linewidth=1.6, label=name)
    edges = np.quantile(label - prediction, [0.002, 0.998])
    reach = float(np.abs(edges).max()) * 1.15 or 1.0
    right.set(ylim=(-reach, reach))
    right.legend(frameon=False, loc="best")
    return figure


def _rows(axes: Axes, x: Floats, y: Floats) -> None:
    if len(x) <= FEW:
        axes.scatter(x, y, s=9, color=ACCENT, alpha=0.35, linewidths=0)
        return
    (left, right), (low, high) = (map(float, np.quantile(values, [0.001, 0.999])) for values in (x, y))
    if left < right and low < high:
        extent = (left, right, low, high)
        axes.hexbin(x, y, gridsize=45, bins="log", cmap="Blues", mincnt=1, extent=extent, linewidths=0.1)
