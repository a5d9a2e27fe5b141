"""The picture for docs/drift.md: alarms a year without any change, Flywheel's and its peers', and days to an alarm."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.drift_alarms_delays import WAIT, Delay
from benchmarks.drift_alarms_rates import BUDGET, Rate
from benchmarks.drift_peers import PEERS

OURS, PEER, LIMIT = "#1f5f8b", "#b9b9b9", "#b3261e"
LEAST = 0.05  # a year, where a log axis begins


def draw(rated: Sequence[Rate], waits: Sequence[Delay]) -> bytes:
    """Draw a PNG image."""
    figure = Figure(figsize=(10, 4.6), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _alarms(left, rated)
    _days(right, waits)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def _alarms(axes: Axes, rated: Sequence[Rate]) -> None:
    names = ["flywheel", *PEERS]
    values = [[rate.alarms / rate.years for rate in rated]]
    values += [[rate.peers[name] for rate in rated if rate.peers] for name in PEERS]
    jitter = np.random.default_rng(0)
    for place, several in enumerate(values):
        across = place + jitter.uniform(-0.25, 0.25, len(several))
        axes.scatter(across, np.maximum(several, LEAST), s=14, color=OURS if place == 0 else PEER, lw=0, alpha=0.8)
        axes.hlines(max(float(np.mean(several)), LEAST), place - 0.35, place + 0.35, color="#222222", lw=1.5)
    axes.axhline(BUDGET, color=LIMIT, ls="--", lw=1.2)
    axes.annotate(
        "budget", (len(names) - 0.5, BUDGET), xytext=(0, 3), textcoords="offset points", ha="right", color=LIMIT
    )
    axes.set_yscale("log")
    axes.set_ylim(LEAST * 0.8, 500)
    axes.set_xticks(range(len(names)), [name.replace(", ", "\n").replace(" + ", "\n+ ") for name in names])
    axes.set_ylabel("alarms a year (a point a cell, line: mean)")
    axes.set_title("Nothing changes", loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)


def _days(axes: Axes, waits: Sequence[Delay]) -> None:
    names = [f"{wait.case.size:g} sd, φ {wait.case.phi:g}" for wait in waits]
    axes.boxplot([[min(day, WAIT) for day in wait.days] for wait in waits], orientation="horizontal", widths=0.5)
    for place, wait in enumerate(waits, start=1):
        if wait.case.goal is not None:
            axes.scatter([wait.case.goal], [place], marker="|", s=400, color=LIMIT, zorder=3)
    axes.set_yticks(range(1, len(names) + 1), names)
    axes.invert_yaxis()
    axes.set_xlabel("days to the alarm (red: goal for the median)")
    axes.set_title("One of 50 columns shifts", loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
