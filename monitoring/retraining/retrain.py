"""Retraining as it is done: the claim, which records what the policy decides, and the process that trains.

Training is started as a person would start it, by `mlflow run` in the project's folder, under the login of the
training service. Its version then meets the same gate and reviewers as any other.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from flywheel.connections import login
from flywheel.errors import FlywheelError, NotApprovedError, UsageError
from flywheel.events import EventKind, append, lock_head, read
from flywheel.identities import MONITORING, TRAINING
from flywheel.refusal import VARIABLE, take_refusal
from flywheel.settings import Settings
from flywheel.stack.processes import recorded_command
from flywheel.usecase import UseCase
from monitoring.retraining.evidence import End, Evidence, attempts_of, windows_of
from monitoring.retraining.policy import RetrainDecision, decide
from monitoring.retraining.rows import ALL_ROWS, RowWindow

# What `mlflow run -e monitor` leaves in the environment would make training continue monitoring's run.
CALLERS_RUN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_TOKEN")


@dataclass(frozen=True)
class Retraining:
    """One to start.

    Attributes:
        use_case_file: The usecase.yaml it trains.
        use_case: What that file says.
        as_of: Simulated time (UTC): nothing known later is used.
        rows: Which history it trains on.
    """

    use_case_file: Path
    use_case: UseCase
    as_of: datetime
    rows: RowWindow = ALL_ROWS


def project_folder(use_case_file: Path) -> Path:
    """Return the folder above a use case that holds the MLproject.

    Raises:
        UsageError: There is none.
    """
    for folder in use_case_file.resolve().parents:
        if (folder / "MLproject").is_file():
            return folder
    raise UsageError(
        f"No MLproject lies above {use_case_file}, so `mlflow run` cannot train it. "
        "Put the use case into the project's folder, or give --no-start-training."
    )


def claim(engine: sa.Engine, use_case: UseCase, known: Evidence) -> RetrainDecision:
    """Decide and record it, the start of one included: under the chain's lock, so that two checks cannot both start.

    Args:
        engine: Of the database with the events, as monitoring.
        use_case: Its name and its policy.
        known: What a check knows beside the events; windows and retrainings before are read here.
    """
    with engine.begin() as connection:
        lock_head(connection)
        events = read(connection, subject=use_case.name)
        windows, attempts = windows_of(events, known.now), attempts_of(events, datetime.now(UTC))
        decision = decide(replace(known, windows=windows, attempts=attempts), use_case.monitor.retrain)
        if decision.start:
            append(connection, EventKind.RETRAIN_STARTED, use_case.name, MONITORING, decision.body())
        elif decision.is_news:
            append(connection, EventKind.RETRAIN_DECIDED, use_case.name, MONITORING, decision.body())
    return decision


def command_of(retraining: Retraining, project: Path) -> list[str]:
    """Return the `mlflow run` of a retraining, to be started in the project's folder.

    It may train what the champion was made of, on newer data, and nothing else.
    """
    file = retraining.use_case_file.resolve()
    path = file.relative_to(project) if file.is_relative_to(project) else file
    command = [sys.executable, "-m", "mlflow", "run", ".", "--env-manager", "local"]
    command += ["--experiment-name", retraining.use_case.name]
    told = [f"usecase={path}", f"as_of={retraining.as_of.isoformat()}", "like=champion", *_rows_of(retraining)]
    return [*command, *(word for parameter in told for word in ("-P", parameter))]


def _rows_of(retraining: Retraining) -> list[str]:
    """Say which history as training takes it; what the use case says itself stays where nothing is said."""
    start, half_life = retraining.rows.start, retraining.rows.half_life
    window = [] if start is None else [f"window={_seconds(retraining.as_of - start)}"]
    return window if half_life is None else [*window, f"half_life={_seconds(half_life)}"]


def _seconds(length: timedelta) -> str:
    return f"{length // timedelta(seconds=1)}s"


def retrain(
    settings: Settings, engine: sa.Engine, retraining: Retraining, find_version: Callable[[], str | None]
) -> str:
    """Run a claimed retraining to its end, and record how it ended, also when it is interrupted.

    Args:
        settings: Where the stack is.
        engine: Of the database with the events, as monitoring.
        retraining: What to train.
        find_version: Names the newest version that the training service registered; asked before and after.

    Returns:
        The version it registered.

    Raises:
        NotApprovedError: Training found something that is not the champion's, and trained nothing.
        FlywheelError: It failed, or registered nothing; the sentence names its log.
    """
    name, title = retraining.use_case.name, f"Retraining {retraining.use_case.name} as of {retraining.as_of:%Y-%m-%d}"
    log = settings.root / "logs" / f"retrain-{name}-{retraining.as_of:%Y%m%dT%H%M%S}.log"
    began = time.monotonic()
    body: dict[str, str | float | None] = {"as_of": retraining.as_of.isoformat(), "log": log.name, "version": None}
    end, refusal = End.FAILED, log.with_suffix(".refused")
    try:
        before = find_version()
        code = _run(settings, retraining, log, refusal)
        after = find_version() if code == 0 else None
        body["version"] = after if after != before else None
        body["code"], body["reason"] = code, take_refusal(refusal)
        end = End.REGISTERED if body["version"] else End.REFUSED if body["reason"] else End.FAILED
    finally:
        body["outcome"] = end.value
        body["seconds"] = round(time.monotonic() - began, 1)
        with engine.begin() as connection:
            append(connection, EventKind.RETRAIN_FINISHED, name, MONITORING, body)
    if end is End.REFUSED:
        raise NotApprovedError(f"{title} was refused: {body['reason']}")
    if end is End.FAILED:
        what = "registered no version" if code == 0 else f"failed with code {code}"
        raise FlywheelError(f"{title} {what}. Read {log}.")
    return str(body["version"])


def _run(settings: Settings, retraining: Retraining, log: Path, refusal: Path) -> int:
    project = project_folder(retraining.use_case_file)
    program = f"retrain-{retraining.use_case.name}"
    log.parent.mkdir(parents=True, exist_ok=True)
    take_refusal(refusal)  # of one that was killed
    with log.open("ab") as output:
        process = subprocess.Popen(
            recorded_command(settings.root, program, command_of(retraining, project)),
            cwd=project,
            env={**_environment(settings), VARIABLE: str(refusal)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            return process.wait()
        finally:
            if process.poll() is None:  # interrupted: `flywheel down` finds what mlflow run leaves behind
                process.terminate()
                process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    """The training service's login; `python` on PATH is this interpreter, which `--env-manager local` needs."""
    kept = {name: value for name, value in os.environ.items() if name not in CALLERS_RUN}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**kept, **login(settings, TRAINING), "PATH": path, "FLYWHEEL_HOME": str(settings.root)}
