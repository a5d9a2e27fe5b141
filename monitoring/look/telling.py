"""What a look does just now, on a terminal; nothing where nobody watches."""

from types import TracebackType
from typing import Self

import typer
from rich.console import Console


class Telling:
    """Shows on standard error what is going on, and lets lines through to standard output.

    Args:
        shown: Whether a person watches; else only the lines are written.
    """

    def __init__(self, *, shown: bool) -> None:
        self._status = Console(stderr=True).status("") if shown else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def begin(self, what: str) -> None:
        """Say what begins now."""
        if self._status is not None:
            self._status.update(f"{what} …")
            self._status.start()

    def line(self, text: str) -> None:
        """Write a line of the result; the status is gone until something else begins, so that none breaks the other."""
        if self._status is not None:
            self._status.stop()
        typer.echo(text)
