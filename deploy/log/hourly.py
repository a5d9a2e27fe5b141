"""Has the log's housekeeping run once an hour, in a process of its own.

It reads and writes whole tables: the shipper must neither wait for it nor keep its memory.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PERIOD_SECONDS = 3600.0
# After a home's first start: then others start as well.
FIRST_SECONDS = 60.0
STOP_SECONDS = 10.0


class Hourly:
    """Starts a command when it is due and the last one has ended. A file keeps the time of the last start.

    Args:
        stamp: The file.
        command: What is run.
        first_seconds: Until it is started, where the file says nothing.
    """

    def __init__(self, stamp: Path, command: Sequence[str], *, first_seconds: float = FIRST_SECONDS) -> None:
        self._stamp = stamp
        self._command = command
        self._begin = time.time() + first_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def tick(self) -> None:
        """Start it where it is due; never waits."""
        if self._process is not None and self._process.poll() is None:
            return
        self._process = None
        if self._due():
            self._stamp.parent.mkdir(parents=True, exist_ok=True)
            self._stamp.touch()
            self._process = subprocess.Popen(self._command)

    def stop(self) -> None:
        """End what runs; it goes on where it was the next time."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _due(self) -> bool:
        now = time.time()
        try:
            last = self._stamp.stat().st_mtime
        except FileNotFoundError:
            return now >= self._begin
        return not now - PERIOD_SECONDS < last <= now + PERIOD_SECONDS  # a clock that went back holds nothing up


def housekeeping(home: Path) -> Hourly:
    """Return the hourly housekeeping of a home's log."""
    return Hourly(
        home / "log" / ".housekeeping", [sys.executable, "-m", "deploy.log.housekeeping", "--home", str(home)]
    )
