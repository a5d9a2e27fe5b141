"""The registry's own process, beside the MLflow server: watches pointers, delivers events, runs gates.

One a registry is enough. A second waits for the first by an advisory lock, so that either may die at any time. Jobs
run only while the lock is held; when its connection is lost, as when Postgres restarts, they stop and begin anew.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import sqlalchemy as sa
import structlog

from flywheel.errors import FlywheelError
from flywheel.locks import AdvisoryLock

log = structlog.get_logger()

LOCK = AdvisoryLock.REGISTRY.value
BEAT_SECONDS = 1.0
FAILED_OFTEN = 3  # runs in a row: then the process is not healthy
END_SECONDS = 8.0  # the supervisor kills after 10
Beat = Callable[[str], None]


class Job(Protocol):
    """Something that is done again and again; a fault that `run` raises is logged, and it is tried again.

    `run` is called from one thread of its own, and may be cut off by the process's end at any time: every run may be
    the last, and may be repeated. A job that works for long should look at `stop`, where it is given one.
    """

    name: str
    seconds: float  # between two runs

    def run(self) -> None:
        """Do what is to be done now."""


def lead(
    engine: sa.Engine, jobs: Callable[[threading.Event], Sequence[Job]], stop: threading.Event, beat: Beat
) -> None:
    """Run jobs whenever this process is the leader, until `stop` is set.

    Args:
        engine: The database whose lock makes the leader.
        jobs: Makes them for one leadership; is given the event that ends it.
        stop: Ends all.
        beat: Called about once a second with what the process does: `waits`, `leads`, or why it cannot.
    """
    while not stop.is_set():
        try:
            with _try_to_lead(engine) as connection:
                if connection is None:
                    beat("waits")
                else:
                    log.info("leads")
                    _work(connection, jobs, stop, beat)
        except sa.exc.DBAPIError as fault:
            reason = f"Postgres does not answer: {str(fault.orig).strip().splitlines()[0]}"
            log.warning("no leadership", reason=reason)
            beat(reason)
        stop.wait(BEAT_SECONDS)


@contextmanager
def _try_to_lead(engine: sa.Engine) -> Iterator[sa.Connection | None]:
    """Yield the connection that holds the lock; None when another process holds it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            leads = connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK})
            yield connection if leads else None
        finally:
            connection.invalidate()  # back in the pool, it would keep the lock


def _work(
    connection: sa.Connection,
    jobs: Callable[[threading.Event], Sequence[Job]],
    stop: threading.Event,
    beat: Beat,
) -> None:
    over = threading.Event()
    loops = [_Loop(job, over) for job in jobs(over)]
    try:
        for loop in loops:
            loop.start()
        while not stop.is_set():
            connection.scalar(sa.text("SELECT 1"))  # raises when the connection is lost, and with it the lock
            troubles = [f"job {loop.name} fails: {loop.fault}" for loop in loops if loop.failed >= FAILED_OFTEN]
            beat("; ".join(troubles) or "leads")
            stop.wait(BEAT_SECONDS)
    finally:
        over.set()
        until = time.monotonic() + END_SECONDS
        for loop in loops:
            loop.join(timeout=max(until - time.monotonic(), 0))


class _Loop(threading.Thread):
    """Runs a job again and again; `failed` counts the runs that failed in a row, and `fault` is the last one's."""

    def __init__(self, job: Job, over: threading.Event) -> None:
        super().__init__(name=job.name, daemon=True)
        self._job = job
        self._over = over
        self.failed = 0
        self.fault = ""

    def run(self) -> None:
        while not self._over.is_set():
            fault = self._run_once()
            self.failed, self.fault = (0, "") if fault is None else (self.failed + 1, fault)
            self._over.wait(self._job.seconds)

    def _run_once(self) -> str | None:
        try:
            self._job.run()
        except FlywheelError as fault:
            if str(fault) != self.fault:  # a fault that lasts is told once
                log.warning("job will be tried again", job=self.name, reason=str(fault))
            return str(fault)
        except Exception as fault:  # one job's defect must not end the others, nor itself
            log.exception("job failed unexpectedly and will be tried again", job=self.name)
            return f"{type(fault).__name__}: {fault}".splitlines()[0]
        return None
