"""The log's housekeeping: erases what is past its retention, and removes the bytes that no reader needs any more.

    python -m deploy.log.housekeeping --home HOME

The shipper starts it once an hour (see `deploy.log.hourly`); `flywheel log expire` does the same by hand. Nothing is
erased without an event in the audit trail, which is written first: killed in between, the next time goes on. The logs
of programs are rotated here as well.
"""

import argparse
import fcntl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from deploy.log.program_logs import rotate
from deploy.log.retention import Going, expire, limit_of, survey
from flywheel import events
from flywheel.database import open_database
from flywheel.erasure import Eraser
from flywheel.errors import FlywheelError, TransientError
from flywheel.events import EventKind
from flywheel.identities import CONTROLLER
from flywheel.serving import load_serving
from flywheel.settings import Settings
from flywheel.storage import TABLES, PredictionLog
from flywheel.telemetry import configure_logs

# Keeps use case and what is to go of it; raises a FlywheelError where it cannot, and then nothing goes.
Record = Callable[[str, Mapping[str, Any]], None]

log = structlog.get_logger()


def keep_house(home: Path, now: datetime, record: Record) -> None:
    """Do all that is due in every use case; what fails is logged, holds up no other, and is due again the next time.

    Raises:
        SpecError: serving.yaml does not say what it must; nothing was done.
    """
    serving, kept = load_serving(home), PredictionLog(home / "log")
    with alone(home):
        for use_case in kept.logged():
            days = serving.of(use_case).log.retention_days
            try:
                if days is not None:
                    _log(use_case, expire_recorded(kept, use_case, limit_of(now, days), record))
                tidy(kept, use_case)
            except FlywheelError as fault:
                log.error("housekeeping failed", use_case=use_case, reason=str(fault))


def expire_recorded(kept: PredictionLog, use_case: str, limit: datetime, record: Record) -> list[Going]:
    """Erase what is past the limit (naive UTC), once that is on the record; return what went.

    Raises:
        FlywheelError: It cannot be recorded, read or erased.
    """
    going = survey(kept, use_case, limit)
    if any(one.rows for one in going):
        record(use_case, {"before": limit.isoformat(), "rows": {one.table: one.rows for one in going}})
        expire(kept, use_case, limit)
    return going


def tidy(kept: PredictionLog, use_case: str) -> None:
    """Remove bytes of a use case that no reader can still need.

    Raises:
        StackError: A table cannot be read or written.
    """
    for table in TABLES:
        Eraser(kept).tidy(use_case, table)


def _log(use_case: str, gone: list[Going]) -> None:
    if any(one.rows for one in gone):
        log.info("expired", use_case=use_case, **{one.table: one.rows for one in gone})


def in_audit_trail(settings: Settings) -> Record:
    """Return what keeps expiries in the audit trail of a home's stack."""

    def record(use_case: str, body: Mapping[str, Any]) -> None:
        try:
            with open_database(settings, "controller") as engine, engine.begin() as connection:
                events.append(connection, EventKind.LOG_EXPIRED, use_case, CONTROLLER, body)
        except sa.exc.OperationalError as fault:
            raise TransientError("Nothing is erased without a record, and Postgres does not answer.") from fault

    return record


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Wait until nobody else keeps house in this home; the lock ends with the process."""
    path = home / "log" / ".housekeeping.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep house once; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.log.housekeeping", description="Keep the log in order.")
    parser.add_argument("--home", type=Path, required=True, help="home folder of the stack")
    home = parser.parse_args(arguments).home.expanduser().resolve()
    configure_logs(machine=True)
    try:
        rotate(home / "logs")
        keep_house(home, datetime.now(UTC), in_audit_trail(Settings(home=home)))
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
