"""Rotating the gateway's access log: the full file is moved aside, and Envoy is told to begin another.

Envoy reopens its files when it gets to it: `/reopen_logs` answers before that, and until then it writes to the file
that was moved. It closes that before it makes the new one. Nothing is remembered here: a file that was moved and no
new one say that Envoy is still to be told, whoever died in between.
"""

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from deploy.log.access_log import rotated
from flywheel.connections import endpoints
from flywheel.errors import FlywheelError, StackError
from flywheel.serving import load_serving
from flywheel.settings import Settings
from flywheel.stack.probes import request

# Between two looks, and how long Envoy may take to answer: the shipper waits for that.
PERIOD_SECONDS = 5.0
ANSWER_SECONDS = 1.0

log = structlog.get_logger()


class Rotation:
    """Keeps one access log from growing without bound. At most one older file lies beside it.

    Args:
        path: The file that Envoy writes.
        limit: Gives the size in bytes at which it is full.
        reopen: Tells Envoy to reopen its files; raises a StackError where it cannot be told.
        clock: Monotonic, seconds.
    """

    def __init__(
        self,
        path: Path,
        limit: Callable[[], int],
        reopen: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._limit = limit
        self._reopen = reopen
        self._clock = clock
        self._looked = clock() - PERIOD_SECONDS

    def tick(self) -> None:
        """Now and then: rotate a file that is full, or remind Envoy of one that was rotated."""
        if self._clock() - self._looked < PERIOD_SECONDS:
            return
        self._looked = self._clock()
        older = rotated(self._path)
        try:
            if not older.exists() and self._path.stat().st_size >= self._limit():
                self._path.rename(older)
            if older.exists() and not self._path.exists():
                self._reopen()
        except FileNotFoundError:
            return  # no Envoy has written yet
        except (FlywheelError, OSError) as fault:
            log.warning("access log not rotated", path=str(self._path), reason=str(fault))


def rotation(home: Path, path: Path) -> Rotation:
    """Return the rotation of a stack's access log, as serving.yaml wants it."""
    return Rotation(path, lambda: load_serving(home).gateway.access_log_mb << 20, lambda: _reopen(home))


def _reopen(home: Path) -> None:
    url = f"{endpoints(Settings(home=home)).envoy_admin_url.rstrip('/')}/reopen_logs"
    try:
        status, _ = request("POST", url, timeout=ANSWER_SECONDS)
    except OSError as fault:
        raise StackError(f"The gateway's admin page {url} does not answer: {fault}. It is asked again.") from fault
    if status != 200:
        raise StackError(f"The gateway's admin page {url} answered {status}. It is asked again.")
