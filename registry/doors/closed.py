"""The run behind an approval is closed: what the reviewer saw there stays as it was, and stays there.

From the first transition to Production on, also after the version was archived, nobody adds to that run, changes it or
deletes it or its logged model. Its status may still change, since whoever trains may end the run later.
"""

import re

import sqlalchemy as sa
from flask import Flask, Response, jsonify, make_response, request
from mlflow.server import handlers

from flywheel.events import EventKind
from registry.policy.rules import PRODUCTION

RUN = re.compile(r"/(?:ajax-)?api/\d\.\d/mlflow/runs/(?:delete|log-[a-z]+|outputs|set-tag|delete-tag)")
LOGGED_MODEL = re.compile(r"/(?:ajax-)?api/\d\.\d/mlflow/logged-models/(?P<id>[^/]+)(?:/tags(?:/.+)?|/params)?")
SPELLINGS = ("run_id", "run_uuid", "runId", "runUuid")  # protobuf reads each of them
CHANGES = frozenset({"POST", "PATCH", "DELETE"})
# The body is text, and Postgres may try the cast before the other conditions: CASE keeps the order.
APPROVED = sa.text(
    "SELECT v.name, v.version FROM model_versions v JOIN flywheel.events e ON e.subject = v.name || '/' || v.version "
    "WHERE (v.run_id = ANY(:runs) OR v.source = :source) AND v.current_stage <> 'Deleted_Internal' "
    "AND CASE WHEN e.kind = :kind THEN e.body::jsonb ->> 'to' = :stage ELSE false END LIMIT 1"
)


def close_approved_runs(app: Flask) -> None:
    """Add the check to Flask's routes; call it after MLflow's login has been added."""
    app.before_request(_refuse_closed)


def _refuse_closed() -> Response | None:
    if request.method not in CHANGES:
        return None
    model = LOGGED_MODEL.fullmatch(request.path)
    runs = _named_runs() if RUN.fullmatch(request.path) else []
    holder = _holder(runs, f"models:/{model['id']}" if model else "") if runs or model else None
    if holder is None:
        return None
    message = f"Change refused: version {holder} was approved on what this run holds, so the run is closed. Start anew."
    return make_response(jsonify({"error_code": "PERMISSION_DENIED", "message": message}), 403)


def _named_runs() -> list[str]:
    document = handlers._get_normalized_request_json()
    return [str(document[key]) for key in SPELLINGS if document.get(key)]


def _holder(runs: list[str], source: str) -> str | None:
    asked = {"runs": runs, "source": source, "kind": str(EventKind.TRANSITION), "stage": PRODUCTION}
    with handlers._get_model_registry_store().engine.connect() as connection:
        found = connection.execute(APPROVED, asked).first()
    return f"{found.version} of '{found.name}'" if found else None
