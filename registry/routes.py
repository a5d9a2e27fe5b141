"""Routes of our own in MLflow's server: below /flywheel, behind its login, with faults told as MLflow tells its own.

Every route here answers JSON to `/flywheel/api/…`; pages are `registry.review.page`. Who may do what, each handler asks
the policy: MLflow's permissions know nothing of these paths.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Flask, Response, jsonify, make_response, request
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from flywheel.errors import FlywheelError, UsageError

ROOT = "/flywheel/"
API = "/flywheel/api"
LONGEST = 10_000  # characters of a field: comments and reasons stay in the trail for ever
Handler = Callable[..., Any]


def add_route(app: Flask, method: str, path: str, handler: Handler) -> None:
    """Add one JSON route; `path` is below `API` and may hold `<name>` parts.

    What the handler returns is answered as JSON with 200. MlflowException gets its own status, UsageError 400, any
    other FlywheelError 409.
    """

    @wraps(handler)
    def answer(**parts: str) -> Response:
        try:
            return make_response(jsonify(handler(**parts)), 200)
        except MlflowException as fault:
            return _fault(fault.get_http_status_code(), fault.error_code, fault.message)
        except UsageError as fault:
            return _fault(400, "INVALID_PARAMETER_VALUE", str(fault))
        except FlywheelError as fault:
            return _fault(409, "INVALID_STATE", str(fault))

    app.add_url_rule(f"{API}/{path}", f"flywheel:{method}:{path}", answer, methods=[method])


def body(*, required: tuple[str, ...] = (), optional: tuple[str, ...] = (), longest: int = LONGEST) -> dict[str, str]:
    """Read the request's JSON object of texts.

    Raises:
        MlflowException: It is no JSON object, lacks a field, or holds one that is not known, no text or too long (400).
    """
    document = request.get_json(force=True, silent=True)
    if not isinstance(document, dict):
        raise MlflowException("The request's body is no JSON object. Send one.", INVALID_PARAMETER_VALUE)
    known = {*required, *optional}
    for name, value in document.items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise MlflowException(f"Field '{name}' is not known here. Known: {names}.", INVALID_PARAMETER_VALUE)
        if not isinstance(value, str):
            raise MlflowException(f"Field '{name}' must be text.", INVALID_PARAMETER_VALUE)
        if "\0" in value:  # Postgres keeps no such text
            raise MlflowException(f"Field '{name}' holds a NUL character. Leave it out.", INVALID_PARAMETER_VALUE)
        if len(value) > longest:
            raise MlflowException(
                f"Field '{name}' has {len(value)} characters; the most is {longest}. Shorten it.",
                INVALID_PARAMETER_VALUE,
            )
    for name in required:
        if not document.get(name, "").strip():
            raise MlflowException(f"Field '{name}' is missing. Send it.", INVALID_PARAMETER_VALUE)
    return document


def _fault(status: int, code: str, message: str) -> Response:
    return make_response(jsonify({"error_code": code, "message": message}), status)
