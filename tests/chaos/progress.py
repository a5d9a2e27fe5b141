"""Shows on standard error how a part goes: a bar on a terminal, elsewhere a line now and then."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos.load import Answers

LINE_SECONDS = 30.0


class Shown:
    """One bar for one part, with what clients were answered so far beside it; a context."""

    def __init__(self, part: str, wanted: int, answers: Answers | None = None) -> None:
        self._part, self._wanted, self._answers = part, wanted, answers
        self._done, self._began, self._said = 0, time.monotonic(), 0.0
        columns = (
            TextColumn(part),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        console = Console(stderr=True)
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=wanted)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._bar.stop()

    def tell(self, done: int) -> None:
        """Say how much is done."""
        self._bar.update(self._task, completed=done, description=self._told())
        passed = time.monotonic() - self._began
        if self._bar.disable and (done >= self._wanted > self._done or passed - self._said >= LINE_SECONDS):
            self._said = passed
            sys.stderr.write(f"{self._part}: {done} of {self._wanted}, {passed:.0f} s{self._told(', ')}\n")
            sys.stderr.flush()
        self._done = done

    def _told(self, before: str = "") -> str:
        if self._answers is None:
            return ""
        codes = self._answers.codes
        return f"{before}{codes.total():,} asked, {codes.total() - codes[200]:,} failed"
