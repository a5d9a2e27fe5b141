"""The program that starts looks when they are due.

    python -m monitoring.schedule.resident

One of the stack's programs. Of several, one leads: APScheduler knows of no other on the same job store, so an advisory
lock decides, and the others stand by.
"""

import sys
import threading

import sqlalchemy as sa
import structlog

from flywheel.database import open_database
from flywheel.errors import FlywheelError
from flywheel.locks import AdvisoryLock
from flywheel.settings import Settings, load_settings
from flywheel.stopping import stop_on_signals
from flywheel.telemetry import configure_logs
from monitoring.schedule.plan import make_scheduler

SECONDS = 5.0  # until a change made by another process is seen, and until a lost lead is

log = structlog.get_logger()


def run(settings: Settings, stop: threading.Event, seconds: float = SECONDS) -> None:
    """Start looks until `stop` is set; where another one leads, wait for the lead."""
    with open_database(settings, "monitoring") as engine:
        while not stop.is_set():
            try:
                _lead(engine, stop, seconds)
            except sa.exc.SQLAlchemyError as fault:
                log.warning("the schedule stands still", reason=str(fault).splitlines()[0])
            stop.wait(seconds)


def _lead(engine: sa.Engine, stop: threading.Event, seconds: float) -> None:
    """Run the scheduler while this connection holds the lock; looks that are under way are waited for at the end."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": AdvisoryLock.SCHEDULE.value}):
            return
        scheduler = make_scheduler(engine)
        scheduler.start()
        log.info("the schedule runs", planned=[job.id for job in scheduler.get_jobs()])
        try:
            while not stop.wait(seconds):
                connection.execute(sa.text("SELECT 1"))  # the lock went with the connection if this fails
                scheduler.wakeup()  # another process may have changed the schedule
        finally:
            scheduler.shutdown(wait=True)
            connection.invalidate()  # the lock is the session's, and a pool would keep that


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    configure_logs(machine=True)
    stop = stop_on_signals()
    try:
        run(load_settings(), stop)
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
