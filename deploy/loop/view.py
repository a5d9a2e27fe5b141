"""How a rollout looks to people: a table that renews itself on a terminal, one line a change elsewhere."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deploy.loop.progress import Progress
from deploy.loop.rollout import Phase

Show = Callable[[list[Progress]], None]
BAR = 20  # signs
ABOVE = "the reason stands above."


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
        self._told: dict[str, str] = {}

    def show(self, progress: list[Progress]) -> None:
        """Print what has changed."""
        for one in progress:
            state = f"{one.phase} {one.percent} {one.challenger} {one.settled}"
            # Evidence grows at every look: a line only when it has crossed another quarter of the way.
            quarters = [int(4 * part) for part in gates(one.verdict).values()]
            said = self._once(one)
            if self._print(one.usecase, f"{state} {quarters}", describe(said)) and "\n" in said.reason:
                self._told[one.usecase] = said.reason
            for version, serving in _said_apart(one).items():
                line = f"{one.usecase}: version {version}: {how_served(serving)}"
                self._print(f"{one.usecase}/{version}", line, line)

    def _once(self, one: Progress) -> Progress:
        """Leave out of the reason what was printed of this use case before, where it goes on with a log."""
        told = self._told.get(one.usecase)
        if told is None or told not in one.reason:
            return one
        return replace(one, reason=ABOVE.capitalize() if one.reason == told else one.reason.replace(told, ABOVE))

    def _print(self, subject: str, state: str, line: str) -> bool:
        """Print a line unless the state is what it was; say whether it was printed."""
        if self._last.get(subject) == state:
            return False
        self._last[subject] = state
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)
        return True


def describe(one: Progress) -> str:
    """Say in one line where a use case stands."""
    if one.challenger is None:
        live = f"version {one.champion} is live" if one.champion else "nothing is live"
        return f"{one.usecase}: {live}. {one.reason}"
    found = "".join(f", evidence on {name} {part:.0%}" for name, part in gates(one.verdict).items())
    versions = coming_versions(one)
    return f"{one.usecase}: {versions} {one.phase}, {one.percent} % of traffic{found}. {one.reason}"


def coming_versions(one: Progress) -> str:
    """Name the version that comes, or all challengers of an experiment."""
    return f"versions {', '.join((f'{one.challenger}', *one.others))}" if one.others else f"version {one.challenger}"


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


def _said_apart(one: Progress) -> dict[str, Mapping[str, Any]]:
    """Return how its versions are served, without what the reason says already."""
    return {version: found for version, found in one.serving.items() if how_served(found) not in one.reason}


def picture(progress: list[Progress]) -> RenderableType:
    """Return what is shown of all use cases: where each stands, its way, its evidence, and what goes on in words."""
    return Group(*(part for one in progress for part in _use_case(one)))


def _use_case(one: Progress) -> Iterator[RenderableType]:
    live = f"version {one.champion} is live" if one.champion else "nothing is live"
    coming = f", {coming_versions(one)} {one.phase}, {one.percent} % of the requests" if one.challenger else ""
    yield Text.assemble((one.usecase, "bold"), f"  {live}{coming}")
    if one.challenger is not None and one.steps:
        yield Padding(_way(one), (0, 0, 0, 2))
        yield Padding(_evidence(one), (0, 0, 0, 2))
    yield Padding(Text(one.reason), (0, 0, 0, 2))
    for version, serving in _said_apart(one).items():
        yield Padding(Text(f"version {version}: {how_served(serving)}", "dim"), (0, 0, 0, 2))
    yield Text()


def _way(one: Progress) -> Text:
    """Draw the steps of a rollout, the present one marked."""
    line = Text()
    for number, step in enumerate((*one.steps, 100)):
        here = step == one.percent and one.phase is not Phase.STARTING
        line.append(" → " if number else "").append("shadow" if step == 0 else f"{step} %", "reverse" if here else "")
    return line


def _evidence(one: Progress) -> Table:
    """Draw how far each gate is from opening, and say what each metric has counted."""
    grid, ready = Table.grid(padding=(0, 2)), gates(one.verdict)
    for wraps in (False, False, True):  # sentences alone
        grid.add_column(no_wrap=not wraps)
    for name, metric in one.verdict.get("metrics", {}).items():
        state = "WORSE" if metric["worse"] else "holds" if metric["holds"] else "guards" if name not in ready else ""
        grid.add_row(name, _bar(ready[name]) if name in ready else state, metric["sentence"])
    return grid


def _bar(part: float) -> str:
    filled = round(part * BAR)
    return "█" * filled + "·" * (BAR - filled) + f" {part:4.0%}"
