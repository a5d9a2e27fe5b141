"""Bodies that are no JSON object: MLflow's own reading of them ends in a fault of the server, so they end here."""

import json

from flask import Flask, Response, jsonify, make_response, request
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from registry.doors.census import CENSUS, Keeper, template

JSON = "application/json"


def answer_faults(app: Flask) -> None:
    """Have Flask answer what is raised before a route as MLflow's routes answer their own faults."""
    app.register_error_handler(MlflowException, _answer)


def require_object() -> None:
    """Check the body of a request that carries JSON; call it when the login has let it in.

    Raises:
        MlflowException: The body is no JSON, or no object (400).
    """
    if request.mimetype != JSON or request.url_rule is None or _is_file(request.url_rule.rule):
        return
    found = request.get_json(force=True, silent=True)  # as MLflow asks, which then finds the answer kept
    if isinstance(found, str):  # JSON within JSON, which MLflow still reads
        found = _parsed(found)
    if isinstance(found, dict) or request.get_data().strip() in {b"", b"null"}:
        return
    raise MlflowException("The request's body is no JSON object. Send one.", INVALID_PARAMETER_VALUE)


def _is_file(rule: str) -> bool:
    door = CENSUS.door(request.method, template(rule))
    return door is not None and door.keeper == Keeper.FROZEN


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _answer(fault: MlflowException) -> Response:
    document = {"error_code": fault.error_code, "message": fault.message}
    return make_response(jsonify(document), fault.get_http_status_code())
