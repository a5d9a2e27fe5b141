"""A job whose work is done by a process that is there only while there is work: its libraries weigh 200 MB and more."""

import subprocess
import threading
from collections.abc import Callable, Sequence

import sqlalchemy as sa
import structlog

from flywheel.errors import TransientError
from flywheel.events import EventKind

log = structlog.get_logger()

NEWEST = sa.text("SELECT coalesce(max(seq), 0) FROM flywheel.events WHERE kind = ANY(:kinds)")
GATE_QUESTIONS = (EventKind.VERSION_CREATED, EventKind.GATES_REQUESTED)  # what gates have to do with
PATIENCE = 5.0  # seconds that a process which is told to end is given


def newest(connection: sa.Connection, kinds: Sequence[EventKind]) -> int:
    """Return the number of the newest event of some kinds; 0 without one."""
    return int(connection.scalar(NEWEST, {"kinds": [str(kind) for kind in kinds]}) or 0)


class Burst:
    """A job of the registry's process.

    Its process is started when an event of one of the kinds is new, does all that waits, and ends with 0. One that ends
    otherwise is started again at the next run, and so is one that missed an event which came in the meantime.

    Args:
        name: For logs.
        engine: The database of the audit trail.
        kinds: Events that make work.
        command: The process.
        over: Ends it.
    """

    seconds = 2.0

    def __init__(
        self,
        name: str,
        engine: sa.Engine,
        kinds: Sequence[EventKind],
        command: Sequence[str],
        over: threading.Event,
    ) -> None:
        self.name = name
        self._engine = engine
        self._kinds = kinds
        self._command = list(command)
        self._over = over
        self._done = 0  # events up to here made no work any more, or it is done

    def run(self) -> None:
        """Do what waits, if anything may.

        Raises:
            TransientError: Postgres does not answer, or the process ended otherwise than well.
        """
        asked = self._newest()
        if asked <= self._done:
            return
        log.info("work begins", job=self.name, newest=asked)
        code = run_until(self._command, self._over.is_set)
        if code != 0 and not self._over.is_set():
            raise TransientError(f"The process of job {self.name} ended with {code}: the log above says why.")
        self._done = asked

    def _newest(self) -> int:
        try:
            with self._engine.connect() as connection:
                return newest(connection, self._kinds)
        except sa.exc.DBAPIError as fault:
            raise TransientError(f"The trail cannot be read: {str(fault).splitlines()[0]}") from fault


def run_until(command: Sequence[str], is_over: Callable[[], bool], *, look_seconds: float = 0.2) -> int:
    """Run a command in this process's group and return its exit code; it is ended when `is_over` says so."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        while True:
            try:
                return process.wait(look_seconds)
            except subprocess.TimeoutExpired:
                if is_over():
                    return _end(process)


def _end(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
