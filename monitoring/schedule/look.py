"""One look of the schedule, as a process of its own: what it needs and what it breaks ends with it.

A look that fails becomes an alert, since what nobody looks at may do harm unseen; the next one that succeeds ends it.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
import structlog

from flywheel.alerts import Finding, Severity
from flywheel.connections import QUIET
from flywheel.database import open_database
from flywheel.durations import duration_text
from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.stack.processes import recorded_command
from flywheel.usecase import UseCase, load_usecase
from monitoring.alerts.desk import Desk

KIND = "schedule"
LAST_LINES = 3

log = structlog.get_logger()


class LookFailedError(FlywheelError):
    """A look has ended with a fault; the sentence is its last line."""


def look(home: str, file: str) -> None:
    """Look at a use case once, and tell people when that cannot be done.

    Args:
        home: Of the stack.
        file: The use case's usecase.yaml.

    Raises:
        LookFailedError: It failed; the scheduler logs that.
    """
    settings = Settings(home=Path(home))
    path = Path(file)
    name = path.parent.name
    fault = ""
    try:
        use_case = load_usecase(path)
        name = use_case.name
        fault = _run(settings, use_case.name, path)
        _tell(settings, use_case, path, fault)
    except FlywheelError as known:
        fault = fault or str(known)
    if fault:
        raise LookFailedError(f"{name}: {fault}")


def log_path(home: Path, name: str) -> Path:
    """Return the log of a use case's looks."""
    return home / "logs" / f"monitor-{name}.log"


def _run(settings: Settings, name: str, file: Path) -> str:
    """Run one look; return why it failed, '' when it did not."""
    log_file = log_path(settings.root, name)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "monitoring", "--usecase", str(file)]
    environment = {**os.environ, **QUIET, "FLYWHEEL_HOME": str(settings.root)}
    with log_file.open("ab") as output:
        start = output.tell()
        code = subprocess.run(
            recorded_command(settings.root, f"monitor-{name}", command),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code == 0:
        return ""
    with log_file.open("rb") as written:
        written.seek(start)
        lines = [line for line in written.read().decode(errors="replace").splitlines() if line.strip()]
    said = lines[-1].removeprefix("Error: ") if lines else "It said nothing."
    return f"{said} (exit {code})"


def _tell(settings: Settings, use_case: UseCase, file: Path, fault: str) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    found = [] if not fault else [finding(use_case, file, fault, now, log_path(settings.root, use_case.name))]
    try:
        with open_database(settings, "monitoring") as engine:
            policy = use_case.monitor.alerts.model_copy(update={"quiet_looks": 1})  # one look that succeeds is enough
            Desk(engine).report(use_case.name, found, examined=(KIND,), policy=policy)
    except sa.exc.SQLAlchemyError as away:
        log.warning("nobody can be told", use_case=use_case.name, reason=str(away).splitlines()[0])


def finding(use_case: UseCase, file: Path, fault: str, now: datetime, log_file: Path) -> Finding:
    """Say that a look has failed."""
    return Finding(
        kind=KIND,
        key="",
        severity=Severity.WARNING,
        what=f"{use_case.name} cannot be looked at: {fault}",
        since=now.isoformat(timespec="seconds"),
        certainty="It has failed; nothing is known of what came in since.",
        look_at=f"{log_file}; by hand: flywheel monitor {file}",
        next=f"The next look comes within {duration_text(use_case.monitor.every)}.",
    )
