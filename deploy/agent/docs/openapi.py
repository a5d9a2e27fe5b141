"""The OpenAPI document (3.1) of one agent: every path, and what its requests and answers are."""

from collections.abc import Sequence
from typing import Any

from deploy.agent.docs import schemas
from deploy.agent.docs.schemas import Schema
from deploy.agent.recording import Identity
from flywheel.contract import KEY_LENGTH, PROBABILITY, Contract

JSON = "application/json"
ERRORS = {
    400: "No request in any of the forms.",
    405: "Another method.",
    413: "Too large, or too many rows.",
    415: "Another media type.",
    422: "A row breaks the contract: the error names row, field and rule.",
    429: "Too many requests wait. Try again after the seconds in `Retry-After`.",
    503: "No answer now. Try again.",
}


def document(identity: Identity, contract: Contract, *, feedback: bool, open_ended: bool = False) -> dict[str, Any]:
    """Return the document.

    Args:
        identity: What is served.
        contract: Its rows and answers.
        feedback: Whether outcomes are taken.
        open_ended: Whether fields without a column are ignored.
    """
    paths = _probes() | _v2(identity, contract) | {"/invocations": {"post": _invocations(contract)}}
    if feedback:
        paths["/feedback"] = {"post": _feedback(contract)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": identity.use_case,
            "version": identity.version,
            "description": "Predictions of one version. Every answer names it in the header `x-flywheel-version`.",
        },
        # Relative to this document, so that it holds directly and behind a gateway's prefix.
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": _components(contract, open_ended=open_ended)},
    }


def _components(contract: Contract, *, open_ended: bool) -> Schema:
    outputs = {output.name: schemas.output_schema(output) for output in contract.outputs}
    text = {"type": ["string", "null"]}
    error = {
        "field": text,
        "rule": {"type": "string"},
        "message": {"type": "string"},
        "row": {"type": ["integer", "null"]},
    }
    return {
        "Row": schemas.row_schema(contract, open_ended=open_ended),
        "Prediction": {"type": "object", "properties": outputs, "required": list(outputs)},
        "Error": _object({"error": _object(error)}),
        "V2Error": _object({"error": {"type": "string"}}),
        "Tensor": _object(
            {
                "name": {"type": "string"},
                "datatype": {"type": "string"},
                "shape": {"type": "array", "items": {"type": "integer"}},
            }
        ),
    }


def _object(properties: Schema, required: Sequence[str] | None = None) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties if required is None else required)}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _content(schema: Schema, **more: Any) -> Schema:
    return {JSON: {"schema": schema, **more}}


def _responses(answer: Schema, *codes: int, error: str = "Error") -> Schema:
    refused = {str(code): {"description": ERRORS[code], "content": _content(_reference(error))} for code in codes}
    return {"200": {"description": "Answered.", "content": answer}, **refused}


def _invocations(contract: Contract) -> Schema:
    names = [*(column.name for column in contract.columns), *schemas.keys(contract)]
    columns: Schema = {"type": "array", "items": {"enum": names}, "uniqueItems": True}
    split = _object({"columns": columns, "data": _list_of({"type": "array"})})
    lists = {name: {"type": "array", "items": _value(contract, name)} for name in names}
    rows = _list_of(_reference("Row"))
    by_column = _object(lists, [column.name for column in contract.columns])
    forms: Schema = {
        "dataframe_split": split,
        "dataframe_records": rows,
        "instances": rows,
        "inputs": {"anyOf": [rows, by_column]},
    }
    one_of = [_object({name: form}) | {"additionalProperties": False} for name, form in forms.items()]
    row = schemas.example_row(contract)
    text = "\n".join((",".join(row), ",".join("" if value is None else str(value) for value in row.values())))
    return {
        "summary": "Predict: MLflow's scoring protocol",
        "operationId": "invocations",
        "requestBody": {
            "required": True,
            "content": {
                **_content({"oneOf": one_of}, example={"dataframe_records": [row]}),
                "text/csv": {"schema": {"type": "string"}, "example": text},
            },
        },
        "responses": _responses(_content(_object({"predictions": _list_of(_reference("Prediction"))})), *ERRORS),
    }


def _value(contract: Contract, name: str) -> Schema:
    column = next((column for column in contract.columns if column.name == name), None)
    return schemas.KEY if column is None else schemas.column_schema(column)


def _v2(identity: Identity, contract: Contract) -> Schema:
    bare = f"/v2/models/{identity.use_case}"
    tensors = [schemas.tensor_schema(column) for column in contract.columns]
    tensors += [schemas.key_tensor(key) for key in schemas.keys(contract)]
    named = _object({"name": {"type": "string"}, "parameters": {"type": "object"}}, ["name"])
    request = _object(
        {
            "id": {"type": "string", "maxLength": 256},
            "parameters": {"type": "object"},
            "inputs": _list_of({"anyOf": tensors}),
            "outputs": {"type": "array", "items": named},
        },
        ["inputs"],
    )
    text = {"type": "string"}
    answer = _object({"model_name": text, "model_version": text, "outputs": _list_of(_reference("Tensor"))})
    binary: Schema = {"application/octet-stream": {"schema": {}}}
    infer = {
        "summary": "Predict: Open Inference Protocol; with Inference-Header-Content-Length tensors may be binary",
        "requestBody": {
            "required": True,
            "content": _content(request, example={"inputs": schemas.example_tensors(contract)}) | binary,
        },
        "responses": _responses(_content(answer) | binary, *ERRORS, error="V2Error"),
    }
    metadata = _content(_object({"name": text, "versions": _list_of(text), "platform": text}))
    described = {"summary": "Names and types of the tensors", "responses": _responses(metadata, 405, error="V2Error")}
    ready = _content(_object({"ready": {"type": "boolean"}}))
    paths: Schema = {
        "/v2": {
            "get": {
                "summary": "What the server is",
                "responses": _responses(_content({"type": "object"}), 405, error="V2Error"),
            }
        },
        "/v2/health/live": {
            "get": {
                "summary": "Whether the server lives",
                "responses": _responses(_content({"type": "object"}), 405, error="V2Error"),
            }
        },
        "/v2/health/ready": {"get": _probe("Whether traffic is welcome", ready)},
    }
    for model in (bare, f"{bare}/versions/{identity.version}"):
        paths |= {
            model: {"get": described},
            f"{model}/ready": {"get": _probe("Whether traffic is welcome", ready)},
            f"{model}/infer": {"post": infer},
        }
    return paths


def _probe(summary: str, answer: Schema) -> Schema:
    return {
        "summary": summary,
        "responses": {
            "200": {"description": "Yes.", "content": answer},
            "503": {"description": "No.", "content": answer},
            "405": {"description": ERRORS[405], "content": _content({"type": "object"})},
        },
    }


def _probes() -> Schema:
    # A reason stands there when the model answers, but not to the package's own example.
    ready = _content(_object({"ready": {"type": "boolean"}, "reason": {"type": "string"}}, ["ready"]))
    text = {"text/plain": {"schema": {"type": "string"}}}
    version = text | _content({"type": "object"})
    return {
        "/ping": {"get": _probe("Whether traffic is welcome", ready)},
        "/health": {"get": _probe("Whether traffic is welcome", ready)},
        "/version": {
            "get": {"summary": "MLflow's version; as JSON what is served", "responses": _responses(version, 405)}
        },
        "/metrics": {"get": {"summary": "Prometheus metrics; not at the gateway", "responses": _responses(text, 405)}},
    }


def _feedback(contract: Contract) -> Schema:
    text: Schema = {"type": ["string", "null"], "minLength": 1, "maxLength": KEY_LENGTH}
    time = schemas.TYPES["datetime"]
    said = {
        "prediction_id": text,
        "entity": schemas.KEY,
        "event_time": time,
        "time_known": time,
        "source": text,
    }
    outcomes = [
        _object(said | {name: value}, [name, "event_time"]) for name, value in _values_of_outcomes(contract).items()
    ]
    both = {"anyOf": [*outcomes, _object({"outcomes": _list_of({"anyOf": outcomes})})]}
    count = {"type": "integer"}
    return {
        "summary": "Report what became of a prediction; the same twice counts once",
        "requestBody": {"required": True, "content": _content(both)},
        "responses": _responses(
            _content(_object({"accepted": count, "repeated": count})), 400, 405, 413, 415, 422, 503
        ),
    }


def _values_of_outcomes(contract: Contract) -> dict[str, Schema]:
    """Return what an outcome is, under each of the names that it may have."""
    first = contract.outputs[0]
    if first.type == "string":
        name: Schema = {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH}
        return {"outcome": name, "label": name}
    return {"outcome": {"enum": [0, 1, False, True]} if first == PROBABILITY else {"type": ["number", "boolean"]}}
