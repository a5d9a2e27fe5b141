"""The shipper's clock: how late it is, and waiting until it is time to ship again or to end."""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Time as one process sees it."""

    def now(self) -> float:
        """Return seconds of a clock that is never set back."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the process shall end; says whether it shall."""
        ...


class SystemClock:
    """This machine's clock; the event says when to end."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()

    def now(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait for the event."""
        return self._stop.wait(seconds)
