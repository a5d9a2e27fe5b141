"""How a rollout looks to people: a table that renews itself on a terminal, one line a change elsewhere."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.progress import Progress
from deploy.rollout import Phase

Show = Callable[[list[Progress]], None]
BAR = 20  # signs


@contextmanager
def progress_view(console: Console) -> Iterator[Show]:
    """Yield what shows a tick's progress."""
    if not console.is_terminal:
        yield Lines(console).show
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield lambda progress: live.update(picture(progress))


class Lines:
    """One line for each change of what is going on, so that a log stays readable."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, str] = {}

    def show(self, progress: list[Progress]) -> None:
        """Print what has changed."""
        for one in progress:
            state = f"{one.phase} {one.percent} {one.challenger} {one.settled}"
            # Evidence grows at every look: a line only when it has crossed another quarter of the way.
            quarters = [int(4 * part) for part in gates(one.verdict).values()]
            self._print(one.usecase, f"{state} {quarters}", describe(one))
            for version, serving in one.serving.items():
                line = f"{one.usecase}: version {version}: {how_served(serving)}"
                self._print(f"{one.usecase}/{version}", line, line)

    def _print(self, subject: str, state: str, line: str) -> None:
        if self._last.get(subject) != state:
            self._last[subject] = state
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)


def describe(one: Progress) -> str:
    """Say in one line where a use case stands."""
    if one.challenger is None:
        live = f"version {one.champion} is live" if one.champion else "nothing is live"
        return f"{one.usecase}: {live}. {one.reason}"
    found = "".join(f", evidence on {name} {part:.0%}" for name, part in gates(one.verdict).items())
    version = f"version{'s' * bool(one.others)} {challengers(one)}"
    return f"{one.usecase}: {version} {one.phase}, {one.percent} % of traffic{found}. {one.reason}"


def challengers(one: Progress) -> str:
    """Name the versions that come."""
    return ", ".join((one.challenger, *one.others)) if one.challenger is not None else "–"


def gates(verdict: Mapping[str, Any]) -> dict[str, float]:
    """Return how far each gate is from opening, 0 to 1, by metric: an e-value counts by its logarithm."""
    found: dict[str, float] = {}
    for name, metric in verdict.get("metrics", {}).items():
        evidence, threshold = (metric["statistic"].get(key) for key in ("evidence", "threshold"))
        if metric["good"] is not None and evidence is not None and threshold is not None:
            share = math.log(max(evidence, 1.0)) / math.log(threshold)
            found[name] = 1.0 if metric["good"] else min(share, 0.99)
    return found


def how_served(serving: Mapping[str, Any]) -> str:
    """Say with what a version is served, and why."""
    if serving["backend"] is None:
        return str(serving["why"])
    replicas, workers = serving["replicas"], serving["workers"]
    behind = f" before {workers} MLflow worker{'s' * (workers != 1)}" if serving["backend"] == "mlflow" else ""
    return f"{serving['backend']}, {replicas} agent{'s' * (replicas != 1)}{behind}. {serving['why']}"


def picture(progress: list[Progress]) -> RenderableType:
    """Return the table of all use cases and, below it, the way of each rollout under way."""
    table = Table("use case", "champion", "challenger", "step", "traffic", "served by", "what is going on")
    for one in progress:
        step = str(one.phase) if one.challenger else "live" if one.champion else "–"
        traffic = f"{one.percent} %" if one.champion or one.challenger else "–"
        served = "\n".join(f"{version}: {how_served(serving)}" for version, serving in one.serving.items()) or "–"
        versions = (one.champion or "–", challengers(one))
        table.add_row(one.usecase, *versions, step, traffic, served, one.reason)
    return Group(table, *(_way(one) for one in progress if one.challenger is not None and one.steps))


def _way(one: Progress) -> RenderableType:
    """Draw the steps of a rollout, and how far each metric's evidence has come."""
    line = Text(f"{one.usecase}: ")
    for number, step in enumerate((*one.steps, 100)):
        here = step == one.percent and one.phase is not Phase.STARTING
        line.append(" → " if number else "").append("shadow" if step == 0 else f"{step} %", "reverse" if here else "")
    grid = Table.grid(padding=(0, 2))
    ready = gates(one.verdict)
    for name, metric in one.verdict.get("metrics", {}).items():
        state = "WORSE" if metric["worse"] else "holds" if metric["holds"] else "good" if metric["good"] else ""
        bar = _bar(ready[name]) if name in ready else ""
        grid.add_row(f"  {name}", bar, state, metric["sentence"])
    return Group(line, grid)


def _bar(part: float) -> str:
    filled = round(part * BAR)
    return "█" * filled + "·" * (BAR - filled) + f" {part:4.0%}"
