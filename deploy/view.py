"""How a rollout looks to people: a table that renews itself on a terminal, one line a change elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
            if self._last.get(one.usecase) != (key := f"{state} {quarter}"):
                self._last[one.usecase] = key
                self._console.print(describe(one), soft_wrap=True, highlight=False, markup=False)


def describe(one: Progress) -> str:
    """Say in one line where a use case stands."""
    if one.challenger is None:
        live = f"version {one.champion} is live" if one.champion else "nothing is live"
        return f"{one.usecase}: {live}. {one.reason}"
    evidence = f", evidence {one.evidence:.1f} of {one.threshold:.0f}" if one.evidence is not None else ""
    return f"{one.usecase}: version {one.challenger} {one.phase}, {one.percent} % of traffic{evidence}. {one.reason}"


def _table(progress: list[Progress]) -> Table:
    table = Table("use case", "champion", "challenger", "step", "traffic", "evidence", "what is going on")
    for one in progress:
        evidence = f"{one.evidence:.1f} of {one.threshold:.0f}" if one.evidence is not None else "–"
        step = str(one.phase) if one.challenger else "live" if one.champion else "–"
        traffic = f"{one.percent} %" if one.champion or one.challenger else "–"
        table.add_row(one.usecase, one.champion or "–", one.challenger or "–", step, traffic, evidence, one.reason)
    return table
