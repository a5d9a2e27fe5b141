"""How far a backtest is: a bar on stderr, told by the fits, which are all that takes time."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class FitProgress:
    """Counts fits; how many there will be is not known before the policies have decided."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True)
        )
        self._made = self._kept = 0

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        self._task = self._bar.add_task("encoding the history", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it away."""
        self._bar.stop()

    def __call__(self, is_new: bool) -> None:
        """Count a fit that was made now, or found from before."""
        self._made, self._kept = self._made + is_new, self._kept + (not is_new)
        self._bar.update(self._task, description=f"{self._made} fits made, {self._kept} found")
