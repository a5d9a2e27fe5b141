"""The registry's own process, beside the MLflow server: watches pointers, delivers events, runs gates.

One a registry is enough. A second waits for the first by an advisory lock, so that either may die at any time.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

import structlog

from flywheel.errors import FlywheelError

log = structlog.get_logger()


class Job(Protocol):
    """Something that is done again and again; a FlywheelError that `run` raises is logged, and it is tried again."""

    name: str
    seconds: float  # between two runs

    def run(self) -> None:
        """Do what is to be done now; every run may be the last, and may be repeated."""


def run_forever(jobs: Sequence[Job], stop: threading.Event) -> None:
    """Run each job in a thread of its own until `stop` is set."""
    threads = [threading.Thread(target=_repeat, args=(job, stop), name=job.name, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(timeout=10)


def _repeat(job: Job, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            job.run()
        except FlywheelError as fault:
            log.warning("job will be tried again", job=job.name, reason=str(fault))
        stop.wait(job.seconds)
