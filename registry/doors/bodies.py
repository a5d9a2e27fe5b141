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
    app.register_error_handler(RecursionError, _too_deep)


def require_object() -> None:
    """Check the body of a request that carries JSON; call it when the login has let it in.

    Raises:
        MlflowException: The body is no JSON, no object, or holds what no field may (400).
    """
    if request.mimetype != JSON or request.url_rule is None or _is_file(request.url_rule.rule):
        return
    found = request.get_json(force=True, silent=True)  # as MLflow asks, which then finds the answer kept
    if isinstance(found, str):  # JSON within JSON, which MLflow still reads
        found = _parsed(found)
    if isinstance(found, dict):
        _check_fields(found)
    elif request.get_data().strip() not in {b"", b"null"}:
        raise _wrong("The request's body is no JSON object. Send one.")


def _check_fields(document: dict[str, object]) -> None:
    if not isinstance(document.get("name", ""), str | None):  # MLflow's login takes it for text
        raise _wrong("Field 'name' must be text. Put it in quotes.")
    # Postgres keeps no such text. Escaped in JSON, the characters are visible in the bytes.
    if b"\\u0000" in request.get_data() and _holds_nul(document):
        raise _wrong("The request's body holds a NUL character (\\u0000). Leave it out.")


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_holds_nul, parts))


def _wrong(message: str) -> MlflowException:
    return MlflowException(message, INVALID_PARAMETER_VALUE)


def _is_file(rule: str) -> bool:
    door = CENSUS.door(request.method, template(rule))
    return door is not None and door.keeper == Keeper.FROZEN


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _too_deep(_: RecursionError) -> Response:
    return _answer(_wrong("The request's body is nested too deeply. Send a plain JSON object."))


def _answer(fault: MlflowException) -> Response:
    document = {"error_code": fault.error_code, "message": fault.message}
    return make_response(jsonify(document), fault.get_http_status_code())
