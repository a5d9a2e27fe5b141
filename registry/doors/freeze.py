"""Artifacts of a registered version are frozen: no upload, no deletion, by whichever of MLflow's doors.

Uploads by PUT are native routes of the server's ASGI app; deletions, multipart uploads and the upload of the web page
are Flask's. Both checks stand behind MLflow's login, so that a stranger still gets 401 and learns nothing.

Nobody chooses where an experiment keeps its artifacts: the server would write there, and sign uploads to there, with
its own rights, past the freeze (another bucket's prefix, or a folder of its own machine).
"""

import re

from flask import Flask, Response, jsonify, make_response, request
from mlflow.exceptions import MlflowException
from mlflow.protos.service_pb2 import CreateExperiment
from mlflow.server import handlers
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.doors.artifacts import frozen_by

PROXIED = re.compile(
    r"/(?:ajax-)?api/2\.0/mlflow-artifacts/(?:artifacts|mpu/(?:create|complete|abort))/(?P<path>.+)", re.DOTALL
)
PAGE_UPLOAD = re.compile(r"/ajax-api/2\.0/mlflow/upload-artifact")
EXPERIMENT = re.compile(r"/(?:ajax-)?api/\d\.\d/mlflow/experiments/create")
WRITES = frozenset({"PUT", "POST", "DELETE", "PATCH"})
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
        match = PROXIED.fullmatch(scope["path"]) if native else None
        if match is None:
            await self.app(scope, receive, send)
            return
        try:
            await _refuse_holder(match["path"])
            await self.app(scope, _rechecked(receive, match["path"]), send)
        except FrozenError as fault:
            await JSONResponse(_refusal(str(fault)), 403)(scope, receive, send)


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


def freeze_flask_routes(app: Flask) -> None:
    """Add the check to Flask's routes; call it after MLflow's login has been added."""
    app.before_request(_refuse_frozen)
    app.before_request(_refuse_chosen_location)


def _refuse_frozen() -> Response | None:
    path = _written_path() if request.method in WRITES else None
    holder = _holder(path) if path else None
    return make_response(jsonify(_refusal(holder)), 403) if holder else None


def _refuse_chosen_location() -> Response | None:
    if request.method != "POST" or not EXPERIMENT.fullmatch(request.path):
        return None
    try:  # MLflow's own reading of the body, which knows more spellings than one
        asked = handlers._get_request_message(CreateExperiment())
    except MlflowException:
        return None  # MLflow answers what is wrong with it
    if not asked.artifact_location:
        return None
    message = "Experiment refused: the server alone decides where artifacts lie. Leave out its artifact_location."
    return make_response(jsonify({"error_code": "PERMISSION_DENIED", "message": message}), 403)


def _written_path() -> str | None:
    if match := PROXIED.fullmatch(request.path):
        return match["path"]
    run_id, path = request.args.get("run_uuid"), request.args.get("path")
    if PAGE_UPLOAD.fullmatch(request.path) and run_id and path:
        run = handlers._get_tracking_store().get_run(run_id)
        return f"{run.info.experiment_id}/{run_id}/artifacts/{path}"
    return None


def _holder(path: str) -> str | None:
    return frozen_by(handlers._get_model_registry_store().engine, path)


def _refusal(holder: str) -> dict[str, str]:
    message = f"Write refused: these artifacts belong to version {holder}, and a registered version is frozen. "
    return {"error_code": "PERMISSION_DENIED", "message": message + "Log a new model and register that."}
