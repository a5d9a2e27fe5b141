"""Tells on standard error what the demo is doing, with the time since its start."""

import time

from rich.console import Console


class Narrator:
    """Numbers the steps and times them."""

    def __init__(self, steps: int) -> None:
        self.started = time.monotonic()
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._steps = steps
        self._step = 0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def step(self, text: str) -> None:
        """Begin a numbered step."""
        self._step += 1
        self._console.print(f"[dim]{self.seconds:4.0f} s[/dim]  [bold]{self._step:2}/{self._steps}  {text}[/bold]")

    def note(self, text: str) -> None:
        """Say something within a step."""
        self._console.print(f"[dim]{self.seconds:4.0f} s[/dim]         {text}", markup=True)
