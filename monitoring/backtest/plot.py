"""Losses over time of replayed policies beside `never`'s, when they trained, and what they came to."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import tab20
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from monitoring.backtest.run import Outcome

MOST_LINES = 5
Colours = Mapping[str, tuple[float, float, float, float]]


def draw(outcome: Outcome, path: Path) -> None:
    """Draw three pictures below each other into a PNG: gain by week, trainings, cost against trainings."""
    names = list(outcome.scores.replayed)
    figure = Figure(figsize=(10, 7 + 0.25 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    gains, marks, price = figure.subplots(3, 1, height_ratios=[12, len(names) + 1, 11])
    colours = {name: tab20((2 * number + number // 10) % 20) for number, name in enumerate(names)}
    _gains(gains, outcome, colours)
    _trainings(marks, outcome, colours)
    _price(price, outcome, colours)
    for axes in (gains, marks):
        axes.axvline(_number(outcome.report.begin), color="0.6", ls="--", lw=1)
        axes.set_xlim(_number(outcome.choose.begin) - 6, _number(outcome.report.end) + 3)
        locator = AutoDateLocator(minticks=3, maxticks=10)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    for axes in (gains, marks, price):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png", dpi=120)


def shown(outcome: Outcome) -> list[str]:
    """Return the policies whose lines are drawn: the recommended and the well-known ones, and no more than fit."""
    first = [outcome.recommendation.policy, "never", "monthly", "weekly", "harm"]
    known = outcome.scores.replayed
    return list(dict.fromkeys(name for name in [*first, *known] if name in known))[:MOST_LINES]


def _gains(axes: Axes, outcome: Outcome, colours: Colours) -> None:
    names = shown(outcome)
    base = "never" if "never" in names else names[0]
    _, reference = outcome.scores.weekly_losses(base)
    for name in names:
        week, losses = outcome.scores.weekly_losses(name)
        is_best = name == outcome.recommendation.policy
        axes.plot(week, reference - losses, label=name, color=colours[name], lw=2.6 if is_best else 1.1)
    axes.set_ylabel(f"gain over {base} (loss, mean of a week)")
    title = f"{outcome.plan.use_case.name}: what policies gain; chosen left of the line, reported right of it"
    axes.set_title(title, loc="left", fontsize="medium")
    axes.legend(frameon=False, fontsize="small", ncols=2)


def _trainings(axes: Axes, outcome: Outcome, colours: Colours) -> None:
    names = list(outcome.scores.replayed)
    for place, name in enumerate(names):
        times = [_number(training.as_of) for training in outcome.scores.replayed[name].trainings]
        axes.plot(times, np.full(len(times), place), "|", color=colours[name], ms=9, mew=1.6)
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.invert_yaxis()
    axes.set_title("when they trained", loc="left", fontsize="medium")


def _price(axes: Axes, outcome: Outcome, colours: Colours) -> None:
    """Lower left is better: few trainings, small cost."""
    points = {name: _point(outcome, name) for name in outcome.scores.replayed}
    for name, (trainings, value) in points.items():
        axes.plot(trainings, value, "o", color=colours[name])
    low, high = (extreme(value for _, value in points.values()) for extreme in (min, max))
    heights = spread(points, least=(high - low) / 18)
    for name, (trainings, _) in points.items():
        axes.annotate(f"   {name}", (trainings, heights[name]), fontsize="x-small", va="center")
    axes.set_xlabel("trainings in the reported part")
    axes.set_ylabel("loss" if outcome.costs is None else "cost of 1,000 decisions")
    axes.margins(x=0.15, y=0.12)


def _point(outcome: Outcome, name: str) -> tuple[int, float]:
    cost = outcome.scores.cost(name, outcome.report)
    value = outcome.scores.loss(name, outcome.report) if cost is None else cost
    return outcome.report.trainings(outcome.scores.replayed[name]), value


def spread(points: Mapping[str, tuple[int, float]], least: float) -> dict[str, float]:
    """Return heights for the points' names, at least so far apart where points stand above each other."""
    heights: dict[str, float] = {}
    last: dict[int, float] = {}
    for name, (column, height) in sorted(points.items(), key=lambda item: item[1][1]):
        heights[name] = last[column] = max(height, last.get(column, -np.inf) + least)
    return heights


def _number(moment: datetime) -> float:
    """Return matplotlib's number of a date: days since 1970."""
    return (moment - datetime(1970, 1, 1)) / timedelta(days=1)
