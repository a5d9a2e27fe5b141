"""Artifacts of a registered version are frozen: no upload, no deletion, by whichever of MLflow's doors.

Uploads by PUT are native routes of the server's ASGI app; deletions, multipart uploads and the upload of the web page
are Flask's. Both checks stand behind MLflow's login, so that a stranger still gets 401 and learns nothing.

Nobody chooses where an experiment keeps its artifacts: the server would write there, and sign uploads to there, with
its own rights, past the freeze (another bucket's prefix, or a folder of its own machine).
"""

import re

from flask import request
from mlflow.exceptions import MlflowException
from mlflow.protos.service_pb2 import CreateExperiment
from mlflow.server import handlers
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.doors.holders import folder_holder

UPLOAD = re.compile(r"/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts/(?P<path>.+)", re.DOTALL)
NATIVE_METHOD = "PUT"  # everything else is Flask's, and has not met the login yet where the middleware stands


class FrozenError(Exception):
    """A version was registered while a file was on its way into its folder; `args` names the version."""


class FrozenArtifacts:
    """ASGI middleware for the native upload route; the innermost one, so that login comes first."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to a write into a registered version's folder; pass everything else on."""
        native = scope["type"] == "http" and scope["method"] == NATIVE_METHOD
        match = UPLOAD.fullmatch(scope["path"]) if native else None
        if match is None:
            await self.app(scope, receive, send)
            return
        try:
            await _refuse_holder(match["path"])
            await self.app(scope, _rechecked(receive, match["path"]), send)
        except FrozenError as fault:
            await JSONResponse({"error_code": "PERMISSION_DENIED", "message": _sentence(str(fault))}, 403)(
                scope, receive, send
            )


def _rechecked(receive: Receive, path: str) -> Receive:
    """Ask again when the last byte is in: a slow upload may have begun before the version was registered."""

    async def next_part() -> Message:
        part = await receive()
        if not part.get("more_body"):
            await _refuse_holder(path)
        return part

    return next_part


async def _refuse_holder(path: str) -> None:
    holder = await run_in_threadpool(_holder, path)
    if holder:
        raise FrozenError(holder)


def frozen_artifact() -> str | None:
    """Return why the artifact that a request to Flask names may not be written; None when it may."""
    path = _written_path()
    holder = _holder(path) if path else None
    return _sentence(holder) if holder else None


def chosen_location() -> str | None:
    """Return why an experiment may not be created as asked; None when it may."""
    try:  # MLflow's own reading of the body, which knows more spellings than one
        asked = handlers._get_request_message(CreateExperiment())
    except (MlflowException, ValueError):
        return None  # MLflow answers what is wrong with it
    if not asked.artifact_location:
        return None
    return "Experiment refused: the server alone decides where artifacts lie. Leave out its artifact_location."


def _written_path() -> str | None:
    parts = request.view_args or {}
    if "artifact_path" in parts:
        return str(parts["artifact_path"])
    run_id, path = request.args.get("run_uuid"), request.args.get("path")
    if not run_id or not path:
        return None  # MLflow answers what is missing
    try:
        run = handlers._get_tracking_store().get_run(run_id)
    except MlflowException:
        return None  # there is none, which MLflow answers
    return f"{run.info.experiment_id}/{run_id}/artifacts/{path}"


def _holder(path: str) -> str | None:
    return folder_holder(handlers._get_model_registry_store().engine, path)


def _sentence(holder: str) -> str:
    return (
        f"Write refused: these artifacts belong to version {holder}, and a registered version is frozen. "
        "Log a new model and register that."
    )
