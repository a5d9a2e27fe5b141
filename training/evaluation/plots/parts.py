"""Pictures of where the model does well or badly: slices, the worst slices found, disturbed inputs."""

from matplotlib.figure import Figure

from training.evaluation.plots.canvas import ACCENT, FAINT, INK, QUIET, WARN, canvas, shorten, spread_intervals
from training.evaluation.report import Disturbance, Interval, Slice, SliceSearch

MOST_SLICES, MOST_DISTURBED = 45, 20


def slices_plot(slices: tuple[Slice, ...], whole: Interval) -> Figure:
    """Draw each slice's score with its interval beside that of all test rows."""
    shown = [item for item in slices if item.score.value is not None][:MOST_SLICES]
    figure, axes = canvas(
        f"Slices of the test rows: {slices[0].metric}",
        slices[0].metric,
        width=8.4,
        height=1.4 + 0.27 * max(3, len(shown)),
    )
    names, height, ticks = [], 0.0, []
    previous = ""
    for item in shown:
        height += 1.0 if item.column == previous or not previous else 1.7  # a gap between columns
        previous = item.column
        value = item.score.value or 0.0
        below, above = spread_intervals(value, item.score.low, item.score.high)
        unlike = _excludes_zero(item.difference)
        axes.errorbar(
            value, height, xerr=[[below], [above]], fmt="o", markersize=5, capsize=3, color=WARN if unlike else ACCENT
        )
        ticks.append(height)
        names.append(f"{shorten(item.column, 24)}: {shorten(item.value, 28)} ({item.rows:,})")
    if whole.value is not None:
        axes.axvline(whole.value, color=INK, linewidth=1, linestyle="--")
        axes.set_title(f"orange: unlike all rows ({whole.value:.3f}, dashed)", loc="right", fontsize=8, color=QUIET)
    axes.set_yticks(ticks, names)
    axes.set_ylim(height + 0.8, 0.2)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    return figure


def worst_plot(search: SliceSearch, whole: float) -> Figure:
    """Draw the loss of the worst slices found beside the loss that the model expected there and that of all rows."""
    shown = search.found
    figure, axes = canvas(
        f"Worst slices found among {search.tested:,} tried",
        "mean loss",
        width=9.6,
        height=1.6 + 0.5 * max(2, len(shown)),
    )
    names = [
        "\nand ".join(f"{shorten(column, 24)}: {shorten(value, 28)}" for column, value in item.conditions)
        for item in shown
    ]
    for height, item in enumerate(shown):
        axes.barh(height, item.loss, color=WARN, height=0.55, alpha=0.85, label="loss" if not height else None)
        if item.expected_loss is not None:
            axes.plot(
                [item.expected_loss] * 2,
                [height - 0.36, height + 0.36],
                color=INK,
                linewidth=2.4,
                label="loss the model expects" if not height else None,
            )
        axes.text(item.loss, height, f"  {item.rows:,} rows", va="center", fontsize=8, color=INK)
    axes.axvline(whole, color=QUIET, linewidth=1.2, linestyle="--", label="all test rows")
    axes.set_yticks(range(len(shown)), names)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, max(whole, *(item.loss for item in shown)) * 1.18)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower right", ncols=3, fontsize=8)
    return figure


def robustness_plot(disturbed: tuple[Disturbance, ...]) -> Figure:
    """Draw by how much the loss rises when an input is disturbed, the worst on top."""
    shown = [item for item in disturbed if item.rise.value is not None][:MOST_DISTURBED]
    figure, axes = canvas(
        "Robustness: rise of the loss when one input is disturbed",
        "rise of the mean loss",
        width=8.4,
        height=1.4 + 0.3 * max(3, len(shown)),
    )
    kinds: dict[str, str] = {}
    for height, item in enumerate(shown):
        value = item.rise.value or 0.0
        kind = item.kind.split(" of ")[0]
        colour = {"missing": ACCENT, "noise": QUIET}.get(kind, WARN)
        below, above = spread_intervals(value, item.rise.low, item.rise.high)
        axes.barh(height, value, color=colour, height=0.62, label=None if kind in kinds else item.kind)
        axes.errorbar(value, height, xerr=[[below], [above]], color=INK, capsize=2, linewidth=1)
        kinds[kind] = colour
    axes.set_yticks(range(len(shown)), [shorten(item.column) for item in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.axvline(0, color=INK, linewidth=0.8)
    if shown:
        axes.legend(frameon=False, loc="lower right")
    return figure


def _excludes_zero(difference: Interval) -> bool:
    return difference.low is not None and difference.high is not None and (difference.low > 0 or difference.high < 0)
