"""Shows how the search goes on standard error: a bar on a terminal, a line a trial elsewhere."""

import sys
from types import TracebackType
from typing import Self

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from training.search import SearchPlan, TrialReport


class SearchProgress:
    """One bar for the trials of a plan, with the latest and the best value beside it."""

    def __init__(self, plan: SearchPlan) -> None:
        self._metric = plan.train.metric
        self._log = structlog.get_logger()
        columns = [
            TextColumn("tuning"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        ]
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("", total=plan.trials)
        self._values: list[float] = []

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, trial: TrialReport) -> None:
        """Show a finished trial."""
        value = float(getattr(trial.scores, self._metric))
        self._values.append(value)
        best = min(self._values) if self._metric == "log_loss" else max(self._values)
        if self._bar.disable:
            found = {self._metric: round(value, 4), "best": round(best, 4), "seconds": round(trial.seconds, 1)}
            self._log.info("trial", number=trial.number, family=trial.family, **found)
        self._bar.update(self._task, advance=1, description=f"{trial.family} {value:.4f}, best {best:.4f}")
