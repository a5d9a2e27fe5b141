"""Artifacts of a registered version are frozen: no upload, no deletion, by whichever of MLflow's doors.

Uploads by PUT are native routes of the server's ASGI app; deletions, multipart uploads and the upload of the web page
are Flask's. Both checks stand behind MLflow's login, so that a stranger still gets 401 and learns nothing.
"""

import re

from flask import Flask, Response, jsonify, make_response, request
from mlflow.server import handlers
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.artifacts import frozen_by

PROXIED = re.compile(r"/(?:ajax-)?api/2\.0/mlflow-artifacts/(?:artifacts|mpu/(?:create|complete|abort))/(?P<path>.+)")
PAGE_UPLOAD = re.compile(r"/ajax-api/2\.0/mlflow/upload-artifact")
WRITES = frozenset({"PUT", "POST", "DELETE", "PATCH"})
NATIVE_METHOD = "PUT"  # everything else is Flask's, and has not met the login yet where the middleware stands


class FrozenArtifacts:
    """ASGI middleware for the native upload route; the innermost one, so that login comes first."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to a write into a registered version's folder; pass everything else on."""
        native = scope["type"] == "http" and scope["method"] == NATIVE_METHOD
        match = PROXIED.fullmatch(scope["path"]) if native else None
        holder = await run_in_threadpool(_holder, match["path"]) if match else None
        if holder:
            await JSONResponse(_refusal(holder), 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def freeze_flask_routes(app: Flask) -> None:
    """Add the check to Flask's routes; call it after MLflow's login has been added."""
    app.before_request(_refuse_frozen)


def _refuse_frozen() -> Response | None:
    path = _written_path() if request.method in WRITES else None
    holder = _holder(path) if path else None
    return make_response(jsonify(_refusal(holder)), 403) if holder else None


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
