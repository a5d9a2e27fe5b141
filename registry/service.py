"""The registry's own process, beside the MLflow server: watches pointers, delivers events, runs gates.

One a registry is enough. A second waits for the first by an advisory lock, so that either may die at any time. Jobs
run only while the lock is held; when its connection is lost, as when Postgres restarts, they stop and begin anew.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import sqlalchemy as sa
import structlog

from flywheel.errors import FlywheelError

log = structlog.get_logger()

LOCK = 714003  # 714001 is the events' own, 714002 the controller's
BEAT_SECONDS = 1.0
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
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                if connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}):
                    log.info("leads")
                    _work(connection, jobs, stop, beat)
                else:
                    beat("waits")
                connection.invalidate()  # a pooled connection would keep the lock
        except sa.exc.DBAPIError as fault:
            reason = f"Postgres does not answer: {str(fault.orig).strip().splitlines()[0]}"
            log.warning("no leadership", reason=reason)
            beat(reason)
        stop.wait(BEAT_SECONDS)


def run_forever(jobs: Sequence[Job], stop: threading.Event) -> None:
    """Run each job in a thread of its own until `stop` is set."""
    threads = _start(jobs, stop)
    stop.wait()
    _join(threads)


def _work(
    connection: sa.Connection,
    jobs: Callable[[threading.Event], Sequence[Job]],
    stop: threading.Event,
    beat: Beat,
) -> None:
    over = threading.Event()
    threads = _start(jobs(over), over)
    try:
        while not stop.is_set():
            connection.scalar(sa.text("SELECT 1"))  # raises when the connection is lost, and with it the lock
            dead = [thread.name for thread in threads if not thread.is_alive()]
            beat(f"jobs have ended: {', '.join(dead)}" if dead else "leads")
            stop.wait(BEAT_SECONDS)
    finally:
        over.set()
        _join(threads)


def _start(jobs: Sequence[Job], stop: threading.Event) -> list[threading.Thread]:
    threads = [threading.Thread(target=_repeat, args=(job, stop), name=job.name, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    return threads


def _join(threads: Sequence[threading.Thread]) -> None:
    until = time.monotonic() + END_SECONDS
    for thread in threads:
        thread.join(timeout=max(until - time.monotonic(), 0))


def _repeat(job: Job, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            job.run()
        except FlywheelError as fault:
            log.warning("job will be tried again", job=job.name, reason=str(fault))
        except Exception:
            log.exception("job failed unexpectedly and will be tried again", job=job.name)
        stop.wait(job.seconds)
