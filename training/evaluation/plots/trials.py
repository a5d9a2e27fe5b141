"""Pictures of the search: how the best value came about, and which parameters the good trials had."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from flywheel.statistics import Floats
from training.evaluation.plots.canvas import FAINT, INK, KINDS, QUIET, canvas, dress, panels, shorten
from training.evaluation.plots.scales import Scale, make_scale
from training.families.protocol import Value

State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class TrialView:
    """What the pictures show of one trial. Names of `params` may begin with the family's and a dot.

    `value` is that of the study's metric, None when the trial has none; `seconds` is how long it took.
    """

    number: int
    family: str
    params: Mapping[str, Value]
    value: float | None
    state: State
    seconds: float | None = None


def optimisation(trials: list[TrialView], metric: str, *, less_is_better: bool) -> Figure:
    """Draw each trial's value by family and the best so far; far-off values are drawn at the edge as triangles."""
    figure, axes = canvas("Optimisation history", "trial", f"validation {metric}", width=7.2)
    done = [trial for trial in trials if trial.value is not None]
    complete = np.array([trial.value for trial in done if trial.state == "complete"], dtype=np.float64)
    if not len(complete):
        axes.text(0.5, 0.5, "no trial was completed", transform=axes.transAxes, ha="center", color=QUIET)
        return figure
    low, high = _window(complete, less_is_better)
    for index, family in enumerate(dict.fromkeys(trial.family for trial in done)):
        _family_points(
            axes, [trial for trial in done if trial.family == family], KINDS[index % len(KINDS)], (low, high)
        )
    ordered = sorted((trial for trial in done if trial.state == "complete"), key=lambda trial: trial.number)
    best = (np.minimum if less_is_better else np.maximum).accumulate([trial.value or 0.0 for trial in ordered])
    numbers = [trial.number for trial in ordered]
    last = max(trial.number for trial in trials)
    axes.step(
        [*numbers, last], [*best, best[-1]], where="post", color=INK, linewidth=1.6, label="best so far", zorder=1
    )
    axes.set_ylim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(trials) == 1:
        axes.set_xlim(numbers[0] - 1, numbers[0] + 1)
    handles, labels = axes.get_legend_handles_labels()
    if any(trial.state == "pruned" for trial in done):
        handles.append(Line2D([], [], color=QUIET, marker="o", fillstyle="none", linestyle=""))
        labels.append("pruned (hollow)")
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def parallel(trials: list[TrialView], metric: str, *, less_is_better: bool) -> Figure:
    """Draw each family's trials as lines through its parameters to the metric, the best dark and thick.

    A parameter that a trial did not have (it belongs to another choice) is passed below its axis, at "not set".
    """
    done = [trial for trial in trials if trial.value is not None and trial.state == "complete"]
    families = list(dict.fromkeys(trial.family for trial in sorted(done, key=lambda trial: trial.number)))
    if not families:
        figure, axes = canvas("Parameters of the trials")
        axes.text(0.5, 0.5, "no trial was completed", transform=axes.transAxes, ha="center", color=QUIET)
        return figure
    values = np.array([trial.value for trial in done], dtype=np.float64)
    window = _window(values, less_is_better)
    figure, axes_list = panels(1, rows=len(families), width=11, height=0.6 + 2.9 * len(families))
    sign = 1.0 if less_is_better else -1.0
    shades = Normalize(min(sign * window[0], sign * window[1]), max(sign * window[0], sign * window[1]))
    for axes, family in zip(axes_list, families, strict=True):
        own = sorted(
            (trial for trial in done if trial.family == family), key=lambda trial: -sign * (trial.value or 0.0)
        )
        _coordinates(axes, own, metric, window, [shades(sign * (trial.value or 0.0)) for trial in own])
    return figure


def _family_points(axes: Axes, trials: list[TrialView], colour: str, window: tuple[float, float]) -> None:
    shown = False
    for state, fill in (("complete", colour), ("pruned", "none")):
        part = [trial for trial in trials if trial.state == state]
        if not part:
            continue
        x = np.array([trial.number for trial in part])
        y = np.array([trial.value for trial in part], dtype=np.float64)
        label = None if shown else shorten(trials[0].family, 24)
        shown = True
        inside = (y >= window[0]) & (y <= window[1])
        style: dict[str, Any] = {
            "facecolors": fill,
            "edgecolors": colour,
            "linewidths": 1,
            "clip_on": False,
            "zorder": 2,
        }
        axes.scatter(x[inside], y[inside], s=22, label=label, **style)
        for outside, edge, marker in ((y > window[1], window[1], "^"), (y < window[0], window[0], "v")):
            axes.scatter(x[outside], np.full(int(outside.sum()), edge), s=26, marker=marker, **style)


def _coordinates(
    axes: Axes, trials: list[TrialView], metric: str, window: tuple[float, float], shades: list[float]
) -> None:
    """Draw one family; the trials come worst first, so that the best lie on top."""
    rows = [{name.split(".", 1)[-1]: value for name, value in trial.params.items()} for trial in trials]
    names = list(dict.fromkeys(name for row in rows for name in row))
    scales = [make_scale([row.get(name) for row in rows]) for name in names]
    ends = Scale.linear(*window)
    lines = np.array(
        [
            [*(scale.place(row.get(name)) for name, scale in zip(names, scales, strict=True)), ends.place(trial.value)]
            for row, trial in zip(rows, trials, strict=True)
        ]
    )
    count = f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}"
    dress(axes, f"{trials[0].family}: {count}, best {metric} {trials[-1].value:.4g}")
    x = np.arange(len(names) + 1)
    from_few = min(1.0, max(0.25, 12 / len(trials)))
    for index, (line, shade) in enumerate(zip(lines, shades, strict=True)):
        best = index == len(lines) - 1
        colour = KINDS[1] if best else _shade(shade)
        axes.plot(
            x,
            line,
            color=colour,
            linewidth=2.4 if best else 1.1,
            alpha=1.0 if best else from_few,
            zorder=3 if best else 2,
        )
    _axes_of_parameters(axes, [*names, metric], [*scales, ends], missing=bool((lines < 0).any()))


def _axes_of_parameters(axes: Axes, names: list[str], scales: list[Scale], *, missing: bool) -> None:
    for place, scale in enumerate(scales):
        axes.plot([place, place], [0, 1], color=QUIET, linewidth=1, zorder=1)
        for height, text in scale.ticks:
            _write(axes, place, height, text)
    if missing:
        axes.axhline(Scale.NOT_SET, color=FAINT, linewidth=6, zorder=0)
        axes.text(-0.3, Scale.NOT_SET, "not set", fontsize=7.5, color=QUIET, va="center", ha="right")
    axes.set_xticks(range(len(names)), [shorten(name, 16) for name in names])
    axes.set_yticks([])
    axes.set(xlim=(-0.35, len(names) - 0.9), ylim=(Scale.NOT_SET - 0.06 if missing else -0.12, 1.12))
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="x", length=0)


def _write(axes: Axes, place: float, height: float, text: str) -> None:
    """Write a tick: ends beyond the axis, where no line runs, others to its left."""
    style: dict[str, Any] = {"fontsize": 7.5, "color": INK, "zorder": 4}
    if height in (0.0, 1.0):
        axes.text(place, 1.03 if height else -0.03, text, ha="center", va="bottom" if height else "top", **style)
        return
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    axes.text(place - 0.02, height, text, ha="right", va="center", bbox=box, **style)


def _window(values: Floats, less_is_better: bool) -> tuple[float, float]:
    """Return the range that is drawn to scale: from the best to a little beyond nine tenths of the values."""
    best = float(values.min() if less_is_better else values.max())
    far = np.abs(values - best)
    reach = min(float(far.max()), max(3 * float(np.median(far)), 1.3 * float(np.quantile(far, 0.9))))
    reach = reach or float(far.max())
    if reach == 0:  # one trial, or all alike
        room = max(abs(best), 1e-6) * 0.05
        return best - room, best + room
    near, end = (
        (best - 0.06 * reach, best + 1.05 * reach) if less_is_better else (best + 0.06 * reach, best - 1.05 * reach)
    )
    return min(near, end), max(near, end)


def _shade(share: float) -> tuple[float, float, float, float]:
    """Return a blue from dark (0, good) to light (1)."""
    mixed = float(np.clip(share, 0, 1))
    return (0.12 + 0.62 * mixed, 0.30 + 0.50 * mixed, 0.66 + 0.24 * mixed, 1.0)
