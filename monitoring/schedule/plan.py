"""What is looked at and when: APScheduler with its job store on Postgres.

A look that was missed, because the stack was down, is caught up once however many were missed; and a use case that is
still being looked at is not looked at again meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from flywheel.database import open_database
from flywheel.errors import UsageError
from flywheel.settings import Settings
from flywheel.usecase import UseCase

SCHEMA, TABLE = "monitoring", "jobs"
AT_ONCE = 2  # looks that run at the same time; others wait
ONCE = "once:"  # begins the id of a look at a use case that is paused: no name of one has a colon
LOOK = "monitoring.schedule.look:look"
FIRST = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday: looks come at whole multiples of their time from here


@dataclass(frozen=True)
class Planned:
    """One use case on the schedule.

    Attributes:
        name: Of the use case.
        file: Its usecase.yaml.
        every: Time between two looks.
        next: When the next one comes (UTC); None: it is paused.
    """

    name: str
    file: Path
    every: timedelta
    next: datetime | None


class EveryMultiple(IntervalTrigger):  # type: ignore[misc]
    """Comes at whole multiples of its time, also after a look that somebody asked for in between."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the first multiple after both."""
        after = now if previous_fire_time is None else max(now, previous_fire_time + timedelta(microseconds=1))
        following: datetime | None = super().get_next_fire_time(None, after)
        return following


class Changes(BaseScheduler):  # type: ignore[misc]
    """A scheduler that never starts a job: a paused one of APScheduler drops what is due when it is shut down."""

    def wakeup(self) -> None:
        """Do nothing: there is no loop."""

    def shutdown(self, wait: bool = True) -> None:
        """Let go of job store and executors."""
        super().shutdown(wait)


class Schedule:
    """What is planned; changes are in Postgres when a call returns.

    Args:
        scheduler: A running one, or one that only changes.
        home: Of the stack, handed to each look.
    """

    def __init__(self, scheduler: BaseScheduler, home: Path) -> None:
        self._scheduler = scheduler
        self._home = home

    def add(self, use_case: UseCase, file: Path) -> Planned:
        """Plan looks at a use case, or change what was planned; the first comes at the next multiple of its time."""
        every = use_case.monitor.every
        if every < timedelta(minutes=1):
            raise UsageError(f"monitor.every is {every.total_seconds():.0f} s in {file}; a minute is the least.")
        job = self._scheduler.add_job(
            LOOK,
            EveryMultiple(seconds=int(every.total_seconds()), start_date=FIRST, timezone=UTC),
            args=(str(self._home), str(file.resolve())),
            id=use_case.name,
            name=use_case.name,
            replace_existing=True,
        )
        return _planned(job)

    def planned(self) -> list[Planned]:
        """Return all of it, by name."""
        jobs = [job for job in self._scheduler.get_jobs() if not job.id.startswith(ONCE)]
        return sorted((_planned(job) for job in jobs), key=lambda one: one.name)

    def remove(self, name: str) -> None:
        """Take a use case off the schedule.

        Raises:
            UsageError: It is not on it.
        """
        try:
            self._scheduler.remove_job(name)
        except JobLookupError as fault:
            raise self._unknown(name) from fault
        with suppress(JobLookupError):
            self._scheduler.remove_job(f"{ONCE}{name}")

    def pause(self, name: str) -> None:
        """Keep a use case on the schedule without looks; raises as `remove`."""
        try:
            self._scheduler.pause_job(name)
        except JobLookupError as fault:
            raise self._unknown(name) from fault

    def resume(self, name: str) -> Planned:
        """Look again from the next multiple on; raises as `remove`."""
        try:
            return _planned(self._scheduler.resume_job(name))
        except JobLookupError as fault:
            raise self._unknown(name) from fault

    def run(self, name: str, now: datetime) -> Planned:
        """Have a look come at `now`; what is paused is looked at once and stays paused; raises as `remove`."""
        job = self._scheduler.get_job(name)
        if job is None:
            raise self._unknown(name)
        if _planned(job).next is not None:
            return _planned(self._scheduler.modify_job(name, next_run_time=now))
        once = DateTrigger(now, timezone=UTC)
        self._scheduler.add_job(LOOK, once, args=job.args, id=f"{ONCE}{name}", name=name, replace_existing=True)
        return _planned(job)

    def _unknown(self, name: str) -> UsageError:
        known = ", ".join(one.name for one in self.planned()) or "nothing"
        return UsageError(f"'{name}' is not on the schedule; {known} is. Add it: flywheel schedule add USECASE.")


def make_scheduler(engine: sa.Engine) -> BackgroundScheduler:
    """Return a scheduler on the job store, not started."""
    return BackgroundScheduler(**_parts(engine))


def _parts(engine: sa.Engine) -> dict[str, Any]:
    return {
        "jobstores": {"default": SQLAlchemyJobStore(engine=engine, tablename=TABLE, tableschema=SCHEMA)},
        "executors": {"default": ThreadPoolExecutor(AT_ONCE)},
        # What was missed counts however late it is, and once.
        "job_defaults": {"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        "timezone": UTC,
    }


@contextmanager
def open_schedule(settings: Settings) -> Iterator[Schedule]:
    """Yield the schedule for changes; nothing is started from here.

    Raises:
        StackError: Nothing has been started in this home.
    """
    with open_database(settings, "monitoring") as engine:
        scheduler = Changes(**_parts(engine))
        scheduler.start(paused=True)
        try:
            yield Schedule(scheduler, settings.root)
        finally:
            scheduler.shutdown()


def _planned(job: Job) -> Planned:
    trigger: IntervalTrigger = job.trigger
    following: datetime | None = getattr(job, "next_run_time", None)
    return Planned(job.id, Path(job.args[1]), trigger.interval, following.astimezone(UTC) if following else None)
