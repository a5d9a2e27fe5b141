"""The picture of estimated against realised: what was said before the outcomes, and what became true."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from flywheel.statistics import Floats
from monitoring.reports.plot import ALARM, EXPECTED, REALISED


@dataclass(frozen=True)
class Point:
    """One window of the picture.

    Attributes:
        start: Of the window.
        estimated: The metric before its outcomes were known.
        low: Lower bound of the estimate; None while its error is not known.
        high: Upper bound.
        realised: None while outcomes are missing.
        plain: The estimate without correction, where it is to be shown.
    """

    start: datetime
    estimated: float
    low: float | None
    high: float | None
    realised: float | None
    plain: float | None = None


def draw_estimates(points: Sequence[Point], metric: str, title: str, reference: float) -> bytes:
    """Draw windows in order of time as a PNG image.

    Args:
        points: At least one.
        metric: Its name, for the axis.
        title: Use case and span.
        reference: The metric on the reference.
    """
    figure = Figure(figsize=(10, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    times = date2num([point.start for point in points])
    lows, highs, plain, realised = (
        _numbers([getattr(point, name) for point in points]) for name in ("low", "high", "plain", "realised")
    )
    axes.fill_between(times, lows, highs, color=REALISED, alpha=0.15, lw=0, label="95 %, from its past errors")
    axes.axhline(reference, color=EXPECTED, lw=1.2, ls="--", label=f"reference {reference:.3f}")
    if np.isfinite(plain).any():
        axes.plot(times, plain, color=EXPECTED, lw=1.5, marker="x", label="estimated, from the reference alone")
    estimated = _numbers([point.estimated for point in points])
    axes.plot(times, estimated, color=REALISED, lw=2, marker="o", label="estimated before")
    axes.plot(times, realised, color=ALARM, lw=0, marker="o", ms=7, zorder=3, label="realised")
    axes.set_ylabel(metric)
    axes.set_title(title, loc="left", fontweight="bold")
    _style(axes)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def _style(axes: Axes) -> None:
    axes.xaxis_date()
    locator = AutoDateLocator(minticks=3, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", lw=0.8)
    axes.set_axisbelow(True)


def _numbers(values: Sequence[float | None]) -> Floats:
    """Return values as numbers; what is missing is not drawn."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
