"""How a rollout looks to people: a table that renews itself on a terminal, one line a change elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from deploy.controller import Progress

Show = Callable[[list[Progress]], None]


@contextmanager
def progress_view(console: Console) -> Iterator[Show]:
    """Yield what shows a tick's progress."""
    if not console.is_terminal:
        yield Lines(console).show
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield lambda progress: live.update(_table(progress))


class Lines:
    """One line for each change of what is going on, so that a log stays readable."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, str] = {}

    def show(self, progress: list[Progress]) -> None:
        """Print what has changed."""
        for one in progress:
            state = f"{one.phase} {one.percent} {one.challenger} {one.settled}"
            # Evidence grows at every look: a line only when it has crossed another quarter of the threshold.
            quarter = int(4 * (one.evidence or 0) / (one.threshold or 1))
            self._print(one.usecase, f"{state} {quarter}", describe(one))
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
    evidence = f", evidence {one.evidence:.1f} of {one.threshold:.0f}" if one.evidence is not None else ""
    return f"{one.usecase}: version {one.challenger} {one.phase}, {one.percent} % of traffic{evidence}. {one.reason}"


def how_served(serving: Mapping[str, Any]) -> str:
    """Say with what a version is served, and why."""
    if serving["backend"] is None:
        return str(serving["why"])
    replicas, workers = serving["replicas"], serving["workers"]
    behind = f" before {workers} MLflow worker{'s' * (workers != 1)}" if serving["backend"] == "mlflow" else ""
    return f"{serving['backend']}, {replicas} agent{'s' * (replicas != 1)}{behind}. {serving['why']}"


def _table(progress: list[Progress]) -> Table:
    table = Table("use case", "champion", "challenger", "step", "traffic", "evidence", "served by", "what is going on")
    for one in progress:
        evidence = f"{one.evidence:.1f} of {one.threshold:.0f}" if one.evidence is not None else "–"
        step = str(one.phase) if one.challenger else "live" if one.champion else "–"
        traffic = f"{one.percent} %" if one.champion or one.challenger else "–"
        served = "\n".join(f"{version}: {how_served(serving)}" for version, serving in one.serving.items()) or "–"
        versions = (one.champion or "–", one.challenger or "–")
        table.add_row(one.usecase, *versions, step, traffic, evidence, served, one.reason)
    return table
