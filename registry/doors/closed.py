"""The run behind an approval is closed: what the reviewer saw there stays as it was, and stays there.

From the first transition to Production on, for good, nobody adds to that run, changes it or deletes it, its logged
model or its experiment. Only its end may still be told, since whoever trains may end the run later.
"""

from flask import request
from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.service_pb2 import DeleteExperiment, UpdateRun
from mlflow.server import handlers

from registry.doors.holders import experiment_holder, location_holder, run_holder

SPELLINGS = ("run_id", "run_uuid", "runId", "runUuid", "source_run_id", "sourceRunId")  # protobuf reads each of them
UPDATES = "/runs/update"


def closed_run() -> str | None:
    """Return why the run that the request names may not be changed; None when it may."""
    runs = _named_runs()
    holder = run_holder(handlers._get_model_registry_store().engine, runs) if runs else None
    if holder is None or (request.path.endswith(UPDATES) and _only_ends(runs[0])):
        return None
    return f"Change refused: version {holder} was approved on what this run holds, so the run is closed. Start anew."


def closed_model() -> str | None:
    """Return why the logged model that the path names may not be changed; None when it may."""
    try:
        model = handlers._get_tracking_store().get_logged_model((request.view_args or {})["model_id"])
    except MlflowException:
        return None  # there is none, which MLflow answers
    registry = handlers._get_model_registry_store().engine
    holder = location_holder(registry, model.artifact_location.rstrip("/"))
    if holder is None:
        return None
    return f"Change refused: version {holder} was approved on this logged model, so it is closed. Log a new one."


def closed_experiment() -> str | None:
    """Return why the experiment that the request names may not be deleted; None when it may."""
    try:
        experiment = handlers._get_request_message(DeleteExperiment()).experiment_id
    except (MlflowException, ValueError):
        return None  # MLflow answers what is wrong with it
    if not experiment.isdigit():
        return None
    registry, tracking = handlers._get_model_registry_store().engine, handlers._get_tracking_store().engine
    holder = experiment_holder(registry, tracking, int(experiment))
    if holder is None:
        return None
    return f"Change refused: version {holder} was approved on a run of this experiment, so it stays. Delete other runs."


def _named_runs() -> list[str]:
    try:
        document = handlers._get_normalized_request_json()
    except (MlflowException, ValueError):
        return []  # MLflow reads it in the same way, and answers what is wrong
    if not isinstance(document, dict):
        return []
    return [str(document[key]) for key in SPELLINGS if document.get(key)]


def _only_ends(run: str) -> bool:
    """Return whether an update does nothing but end a run that has not ended yet, or end it again as it ended."""
    asked = handlers._get_request_message(UpdateRun())
    if asked.HasField("run_name"):
        return False
    known = handlers._get_tracking_store().get_run(run).info
    same = not asked.HasField("status") or RunStatus.to_string(asked.status) == known.status
    return same or not RunStatus.is_terminated(RunStatus.from_string(known.status))
