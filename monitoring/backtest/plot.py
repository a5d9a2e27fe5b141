"""Losses over time of replayed policies beside `never`'s, when they trained, and what they cost."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monitoring.backtest.run import Outcome

MOST_LINES = 6


def draw(outcome: Outcome, path: Path) -> None:
    """Draw three pictures below each other into a PNG: gain by week, trainings, loss against trainings."""
    figure = Figure(figsize=(10, 9), layout="constrained")
    FigureCanvasAgg(figure)
    gains, marks, price = figure.subplots(3, 1, height_ratios=[3, 2, 2.5])
    names = shown(outcome)
    colours = {name: f"C{number}" for number, name in enumerate(outcome.scores.replayed)}
    _gains(gains, outcome, names, colours)
    _trainings(marks, outcome, colours)
    _price(price, outcome, colours)
    figure.savefig(path, dpi=120)


def shown(outcome: Outcome) -> list[str]:
    """Return the policies whose lines are drawn: the recommended and the well-known ones, and no more than fit."""
    first = [outcome.recommendation.policy, "never", "monthly", "weekly", "harm"]
    known = outcome.scores.replayed
    return list(dict.fromkeys(name for name in [*first, *known] if name in known))[:MOST_LINES]


def _gains(axes: Axes, outcome: Outcome, names: list[str], colours: dict[str, str]) -> None:
    base = names[0] if "never" not in names else "never"
    _, reference = outcome.scores.weekly_losses(base)
    for name in names:
        day, losses = outcome.scores.weekly_losses(name)
        weeks = [datetime(1970, 1, 1) + timedelta(days=float(one)) for one in day]
        is_best = name == outcome.recommendation.policy
        axes.plot(weeks, reference - losses, label=name, color=colours[name], lw=2.4 if is_best else 1.1)
    axes.axvline(outcome.report.begin, color="0.6", ls="--", lw=1)
    axes.annotate(" reported from here", (outcome.report.begin, 1), xycoords=("data", "axes fraction"), va="top")
    axes.set_ylabel(f"loss less than '{base}'\n(mean of a week)")
    axes.set_title(f"{outcome.plan.use_case.name}: what each policy gains", loc="left")
    axes.legend(frameon=False, fontsize="small", ncols=2)


def _trainings(axes: Axes, outcome: Outcome, colours: dict[str, str]) -> None:
    names = list(outcome.scores.replayed)
    for place, name in enumerate(names):
        times = [training.as_of for training in outcome.scores.replayed[name].trainings]
        axes.plot(times, np.full(len(times), place), "|", color=colours[name], ms=9, mew=1.6)
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.invert_yaxis()
    axes.axvline(outcome.report.begin, color="0.6", ls="--", lw=1)
    axes.set_xlim(outcome.choose.begin - timedelta(days=6), outcome.report.end + timedelta(days=3))
    axes.set_title("when they trained", loc="left", fontsize="medium")


def _price(axes: Axes, outcome: Outcome, colours: dict[str, str]) -> None:
    for name, one in outcome.scores.replayed.items():
        trainings = outcome.report.trainings(one)
        cost = outcome.scores.cost(name, outcome.report)
        value = outcome.scores.loss(name, outcome.report) if cost is None else cost
        axes.plot(trainings, value, "o", color=colours[name])
        axes.annotate(f" {name}", (trainings, value), fontsize="small", va="center")
    axes.set_xlabel("trainings in the reported part")
    is_cost = outcome.costs is not None
    axes.set_ylabel("cost of 1,000 rows" if is_cost else "loss")
    axes.margins(x=0.12, y=0.15)
