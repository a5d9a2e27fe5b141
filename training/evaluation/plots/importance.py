"""Pictures of what moves the model: mean contributions, their spread row by row, and single rows taken apart."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flywheel.statistics import Floats
from training.data.dataset import Columns
from training.evaluation.plots.canvas import ACCENT, FAINT, INK, QUIET, WARN, canvas, dress, panels, shorten
from training.evaluation.report import Beeswarm, Explanation, LocalExplanation

MOST_FEATURES, MOST_CLASSES, MOST_LOCAL = 20, 16, 6


def importance(explanation: Explanation, columns: Columns, classes: tuple[str, ...]) -> Figure:
    """Draw the mean size of contributions, largest on top, and beside it the single ones, or the classes'."""
    shown = explanation.importances[:MOST_FEATURES]
    names = [shorten(item.feature) for item in shown]
    height = 1.4 + 0.3 * max(4, len(shown))
    swarm = explanation.beeswarm
    if swarm is None and not shown[0].by_class:
        figure, bars = canvas("", width=6.4, height=height)
    else:
        figure, (bars, beside) = panels(2, width=11, height=height, ratios=[1, 1.25])
        if swarm is not None:
            _swarm(beside, swarm, [item.feature for item in shown], columns, explanation.unit)
        else:
            _by_class(beside, np.array([item.by_class for item in shown]), classes)
    dress(bars, "Importance: mean |SHAP value|", f"{explanation.unit}, {explanation.rows:,} test rows")
    bars.barh(names[::-1], [item.value for item in shown][::-1], color=ACCENT, height=0.65)
    bars.set_ylim(-0.6, len(shown) - 0.4)
    left_out = len(explanation.importances) - len(shown)
    if left_out:
        rest = sum(item.value for item in explanation.importances[MOST_FEATURES:])
        bars.text(
            1,
            0,
            f"{left_out} more add up to {rest:.3g}",
            transform=bars.transAxes,
            ha="right",
            va="bottom",
            color=QUIET,
            fontsize=8,
        )
    return figure


def local_plot(explanation: Explanation, classes: tuple[str, ...]) -> Figure:
    """Draw why single rows got their predictions, one panel a row."""
    shown = explanation.local[:MOST_LOCAL]
    rows = (len(shown) + 1) // 2
    figure, axes = panels(2, rows=rows, width=12, height=0.4 + 3.1 * rows)
    for panel, item in zip(axes, shown, strict=False):
        _waterfall(panel, item, classes, explanation.unit)
    for panel in axes[len(shown) :]:
        panel.set_axis_off()
    return figure


def _swarm(axes: Axes, swarm: Beeswarm, features: list[str], columns: Columns, unit: str) -> None:
    dress(axes, "Each row's contribution", f"{unit}; colour: low to high value, grey: category or missing")
    for height, feature in enumerate(reversed(features)):
        index = swarm.features.index(feature)
        amounts, values = swarm.contributions[:, index], swarm.values[:, index]
        known = np.isfinite(values) & (columns.categories[columns.names.index(feature)] is None)
        y = height + _offsets(amounts)
        axes.scatter(amounts[~known], y[~known], s=7, color=QUIET, linewidths=0, alpha=0.8)
        if known.any():
            places = np.searchsorted(np.sort(values[known]), values[known], "left") / max(1, known.sum() - 1)
            axes.scatter(
                amounts[known], y[known], s=7, c=places, cmap="coolwarm", vmin=0, vmax=1, linewidths=0, alpha=0.8
            )
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(features)), [""] * len(features))
    axes.set_ylim(-0.6, len(features) - 0.4)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _offsets(amounts: Floats) -> Floats:
    """Stack points that lie close together above and below their line, at most 0.4 away, (n_rows,)."""
    span = float(np.ptp(amounts)) or 1.0
    cell = np.round((amounts - amounts.min()) / span * 80).astype(np.int64)
    order = np.argsort(cell, kind="stable")
    sizes = np.bincount(cell)
    rank = np.empty(len(amounts))
    rank[order] = np.arange(len(amounts)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    side = np.where(rank % 2 == 0, 1, -1) * ((rank + 1) // 2)
    return side * min(0.04, 0.8 / max(1, int(sizes.max())))


def _by_class(axes: Axes, table: Floats, classes: tuple[str, ...]) -> None:
    dress(axes, "By class: mean |SHAP value|")
    kept = np.sort(np.argsort(-table.sum(axis=0), kind="stable")[:MOST_CLASSES])
    axes.imshow(table[:, kept], cmap="Blues", vmin=0, aspect="auto")
    names = [shorten(classes[code], 18) for code in kept]
    axes.set_xticks(range(len(kept)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(table)), [""] * len(table))
    axes.spines[:].set_visible(False)


def _waterfall(axes: Axes, item: LocalExplanation, classes: tuple[str, ...], unit: str) -> None:
    label = classes[int(item.label)] if classes else f"{item.label:.4g}"
    predicted = f"{shorten(item.of_class, 20)} {item.prediction:.3g}" if item.of_class else f"{item.prediction:.4g}"
    dress(axes, f"{item.kind.capitalize()}: predicted {predicted}, label {shorten(label, 20)}")
    axes.title.set_fontsize(9.5)
    steps = [(f"{shorten(part.feature, 22)} = {shorten(part.value, 14)}", part.amount) for part in item.contributions]
    steps.append(("all others", item.others))
    start = item.base
    axes.use_sticky_edges = False  # or else bars end at the frame
    axes.margins(x=0.06)
    for height, (_, amount) in zip(range(len(steps), 0, -1), steps, strict=True):
        axes.barh(height, amount, left=start, color=ACCENT if amount >= 0 else WARN, height=0.62)
        start += amount
    axes.set_yticks(range(len(steps), 0, -1), [name for name, _ in steps], fontsize=8)
    axes.axvline(item.base, color=QUIET, linewidth=1, linestyle=":")
    axes.axvline(item.output, color=INK, linewidth=1)
    axes.set_xlabel(f"{unit}: from {item.base:.3g} (dotted) to {item.output:.3g}", fontsize=8)
