"""The report of a rollout: its page as one file that needs nothing else, and its place among its run's artifacts.

Artifacts of an approved version's run are closed to every caller (registry.doors). The report is no caller's: the
registry makes it of the audit trail alone, and writes it beside the model's folder, below that door. Made again of the
same events it has the same bytes.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # published without types
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from flywheel.errors import FlywheelError, IntegrityError, TransientError
from registry.doors.artifacts import artifact_store, stored_path
from registry.doors.holders import version_above
from registry.review import render
from registry.rollouts import trail
from registry.rollouts.record import Record
from registry.rollouts.view import build

FOLDER = "rollout"
RUN = sa.text(
    "SELECT run_id, artifact_uri FROM model_versions AS found JOIN runs ON run_uuid = run_id "
    "WHERE found.name = :model AND version = :version AND lifecycle_stage = 'active'"
)


@dataclass(frozen=True)
class Kept:
    """Where a report lies: the run, and the path among its artifacts."""

    run_id: str
    path: str


def find(connection: sa.Connection, model: str, name: str | None = None) -> Record:
    """Return a rollout with its curves; the newest one unless it is named.

    Raises:
        FlywheelError: There is none.
    """
    if name is None:
        last = trail.newest(connection, model, 1)
        if not last:
            raise FlywheelError(f"'{model}' has had no rollout yet, so there is nothing to report.")
        name = last[-1].name
    found = trail.one(connection, model, name)
    if found is None:
        raise FlywheelError(f"'{model}' has had no rollout '{name}'. `flywheel rollouts list {model}` names them.")
    return found


def html(record: Record) -> str:
    """Return the report as HTML."""
    return render.text("rollout_report.html", view=build(record, record.moments[-1].event.at))


def keep(engine: sa.Engine, record: Record) -> Kept:
    """Write a rollout's report among the artifacts of its version's run, over an older one.

    Raises:
        FlywheelError: The version has no run any more, or the report would lie in a version's folder.
        TransientError: The artifact store does not answer.
    """
    what = f"The report of rollout '{record.name}' is not kept: "
    with engine.connect() as connection:
        row = connection.execute(RUN, {"model": record.model, "version": record.new.number}).first()
    if row is None:
        raise FlywheelError(f"{what}version {record.new.number} of '{record.model}' has no run. Use --html FILE.")
    try:
        folder = f"{stored_path(str(row.artifact_uri))}/{FOLDER}"
    except IntegrityError as fault:
        raise FlywheelError(f"{what}{fault}") from fault
    file = f"{record.name}.html"
    if (holder := version_above(engine, f"{folder}/{file}")) is not None:
        raise FlywheelError(f"{what}it would lie in the folder of version {holder}, which is frozen. Use --html FILE.")
    _write(folder, file, html(record))
    return Kept(str(row.run_id), f"{FOLDER}/{file}")


def _write(folder: str, file: str, text: str) -> None:
    with tempfile.TemporaryDirectory(prefix="flywheel-report-") as scratch:
        path = Path(scratch) / file
        path.write_text(text, encoding="utf-8")
        try:
            get_artifact_repository(artifact_store()).log_artifact(str(path), folder)
        except (MlflowException, BotoCoreError, ClientError, OSError) as fault:
            reason = str(fault).strip().splitlines()[0].rstrip(".")
            raise TransientError(f"The artifact store does not take '{folder}/{file}': {reason}. Try again.") from fault
