"""The look that all pictures share. Drawn without pyplot, which holds state."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, ACCENT, QUIET, WARN, GOOD = "#1f2933", "#2563eb", "#9aa5b1", "#c2410c", "#0f766e"
FAINT = "#e4e7eb"
KINDS = ("#2563eb", "#c2410c", "#0f766e", "#7c3aed", "#b45309", "#db2777", "#4d7c0f", "#0891b2")
LONGEST = 30


def canvas(title: str, x: str = "", y: str = "", *, width: float = 6.4, height: float = 4.8) -> tuple[Figure, Axes]:
    """Make a figure of one panel; sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    dress(axes, title, x, y)
    return figure, axes


def panels(
    columns: int, *, rows: int = 1, width: float, height: float, ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Make a figure of several panels, row by row."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, width_ratios=ratios)
    return figure, list(grid.ravel())


def dress(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Give a panel its title and labels."""
    axes.set_title(title, color=INK, loc="left", fontsize=11)
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)


def shorten(name: str, most: int = LONGEST) -> str:
    """Cut the middle out of a long name; what matters stands at both ends. Dollar signs are no formula."""
    if len(name) > most:
        head = (most - 1) * 2 // 3
        name = f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"
    return name.replace("$", r"\$")


def spread_intervals(value: float, low: float | None, high: float | None) -> tuple[float, float]:
    """Return how far an interval reaches below and above its value, for error bars; nothing where there is none."""
    if low is None or high is None:
        return 0.0, 0.0
    return max(0.0, value - low), max(0.0, high - value)
