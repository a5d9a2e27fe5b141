"""Shows how the search goes on standard error: a bar on a terminal, a line a trial elsewhere."""

from types import TracebackType
from typing import Self

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from training.metrics import choose_metric
from training.search.plan import SearchPlan
from training.search.trial import TrialReport


class SearchProgress:
    """One bar for the trials of a plan, with the latest and the best value beside it."""

    def __init__(self, plan: SearchPlan, console: Console | None = None) -> None:
        self._metric = choose_metric(plan.task, plan.metric)
        self._log = structlog.get_logger()
        columns = [
            TextColumn("tuning"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        ]
        console = console or Console(stderr=True)
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=plan.trials)
        self._best: float | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, trial: TrialReport) -> None:
        """Show a finished trial."""
        value = trial.value
        if value is not None and (self._best is None or self._metric.better(value, self._best)):
            self._best = value
        outcome = trial.state if value is None else f"{value:.4f}"
        best = "none yet" if self._best is None else f"{self._best:.4f}"
        self._bar.update(self._task, advance=1, description=f"{trial.family} {outcome}, best {best}")
        if trial.fault is not None:
            self._log.warning("trial failed", number=trial.number, reason=trial.fault)
        elif self._bar.disable:
            seconds = round(trial.seconds, 1)
            names = {"number": trial.number, "family": trial.family, self._metric.name: outcome, "best": best}
            self._log.info("trial", **names, seconds=seconds)
