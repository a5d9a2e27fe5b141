"""Losses over time of replayed policies beside `never`'s, when they trained, and what they came to."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from monitoring.backtest.run import Outcome

MOST_LINES = 5


def draw(outcome: Outcome, path: Path) -> None:
    """Draw three pictures below each other into a PNG: gain by week, trainings, cost against trainings."""
    names = list(outcome.scores.replayed)
    figure = Figure(figsize=(10, 7 + 0.25 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    gains, marks, price = figure.subplots(3, 1, height_ratios=[12, len(names) + 1, 11])
    colours = {name: f"C{number % 10}" for number, name in enumerate(names)}
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


def _gains(axes: Axes, outcome: Outcome, colours: dict[str, str]) -> None:
    names = shown(outcome)
    base = "never" if "never" in names else names[0]
    _, reference = outcome.scores.weekly_losses(base)
    for name in names:
        week, losses = outcome.scores.weekly_losses(name)
        is_best = name == outcome.recommendation.policy
        axes.plot(week, reference - losses, label=name, color=colours[name], lw=2.6 if is_best else 1.1)
    axes.set_ylabel(f"loss less than {base}'s (mean of a week)")
    axes.set_title(
        f"{outcome.plan.use_case.name}: what each policy gains; chosen left of the line, reported right of it",
        loc="left",
    )
    axes.legend(frameon=False, fontsize="small", ncols=2)


def _trainings(axes: Axes, outcome: Outcome, colours: dict[str, str]) -> None:
    names = list(outcome.scores.replayed)
    for place, name in enumerate(names):
        times = [_number(training.as_of) for training in outcome.scores.replayed[name].trainings]
        axes.plot(times, np.full(len(times), place), "|", color=colours[name], ms=9, mew=1.6)
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.invert_yaxis()
    axes.set_title("when they trained", loc="left", fontsize="medium")


def _price(axes: Axes, outcome: Outcome, colours: dict[str, str]) -> None:
    """Lower left is better: few trainings, small cost."""
    for name, one in outcome.scores.replayed.items():
        trainings, cost = outcome.report.trainings(one), outcome.scores.cost(name, outcome.report)
        value = outcome.scores.loss(name, outcome.report) if cost is None else cost
        axes.plot(trainings, value, "o", color=colours[name])
        axes.annotate(f"  {name}", (trainings, value), fontsize="x-small", va="center")
    axes.set_xlabel("trainings in the reported part")
    axes.set_ylabel("loss" if outcome.costs is None else "cost of 1,000 decisions")
    axes.margins(x=0.15, y=0.12)


def _number(moment: datetime) -> float:
    """Return matplotlib's number of a date: days since 1970."""
    return (moment - datetime(1970, 1, 1)) / timedelta(days=1)
