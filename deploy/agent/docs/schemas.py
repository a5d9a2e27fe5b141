"""The contract as JSON Schema (2020-12, as OpenAPI 3.1 has it), and rows that keep to it as examples."""

from datetime import datetime
from typing import Any

from deploy.agent.tensors import ACCEPTED, DATATYPE_OF, DATATYPES
from flywheel.column_rules import LONG_LIMIT
from flywheel.contract import KEY_LENGTH, Column, Contract, Output

Schema = dict[str, Any]

TYPES: dict[str, Schema] = {
    "long": {"type": "integer", "format": "int64", "minimum": -LONG_LIMIT, "maximum": LONG_LIMIT - 1},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time", "description": "ISO 8601; without an offset it is UTC."},
}
KEY: Schema = {"type": ["string", "integer", "null"], "minLength": 1, "maxLength": KEY_LENGTH}
EXAMPLE_TIME = "2026-01-31T10:00:00Z"


def column_schema(column: Column) -> Schema:
    """Return what a value of a column may be. Limits that are only flagged stand in the description."""
    schema = dict(TYPES[column.type])
    limits = _limits(column)
    if column.breach == "flag" and limits:
        said = ", ".join(f"{name} {value}" for name, value in limits.items())
        schema["description"] = f"Expected: {said}; other values are scored and flagged."
    else:
        schema |= limits
    if column.nullable:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


def _limits(column: Column) -> Schema:
    if column.categories is not None:
        return {"enum": list(column.categories)}
    if column.type == "datetime":
        return {}
    bounds = {"minimum": column.lower, "maximum": column.upper}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def keys(contract: Contract) -> list[str]:
    """Return the names of entity and subject, as far as there are any."""
    return [key for key in (contract.entity, contract.subject) if key is not None]


def row_schema(contract: Contract, *, open_ended: bool = False) -> Schema:
    """Return what a row must be; `open_ended`: fields without a column are ignored rather than refused."""
    properties = {column.name: column_schema(column) for column in contract.columns}
    properties |= dict.fromkeys(keys(contract), KEY)
    return {
        "type": "object",
        "properties": properties,
        "required": [column.name for column in contract.columns],
        "additionalProperties": open_ended,
    }


def tensor_schema(column: Column) -> Schema:
    """Return what a tensor of a column must be."""
    return _tensor(column.name, [name for name in DATATYPES if name in ACCEPTED[column.type]], column_schema(column))


def key_tensor(name: str) -> Schema:
    """Return what a tensor of an entity or subject must be."""
    return _tensor(name, [name for name in DATATYPES if name in ACCEPTED["key"]], KEY)


def _tensor(name: str, datatypes: list[str], items: Schema) -> Schema:
    size = {"type": "integer", "minimum": 1}
    return {
        "type": "object",
        "properties": {
            "name": {"const": name},
            "datatype": {"enum": datatypes},
            "shape": {"type": "array", "items": size, "minItems": 1, "maxItems": 2},
            "parameters": {"type": "object"},
            "data": {"type": "array", "items": items},
        },
        "required": ["name", "datatype", "shape"],
    }


def output_schema(output: Output) -> Schema:
    """Return what an output is."""
    if output.type == "double" and output.name.startswith("probability"):
        return {"type": "number", "minimum": 0, "maximum": 1}
    return {"type": {"double": "number"}.get(output.type, output.type)}


def example_row(contract: Contract) -> dict[str, Any]:
    """Return a row that keeps the contract; its values are made up."""
    return {column.name: _example(column) for column in contract.columns} | dict.fromkeys(keys(contract), "a-key")


def example_tensors(contract: Contract) -> list[dict[str, Any]]:
    """Return the same row as tensors."""
    types = {column.name: DATATYPE_OF[column.type] for column in contract.columns}
    row = example_row(contract).items()
    return [{"name": name, "datatype": types.get(name, "BYTES"), "shape": [1], "data": [value]} for name, value in row]


def _example(column: Column) -> Any:
    if column.categories is not None:
        return column.categories[0]
    lower, upper = column.lower, column.upper
    if column.type == "datetime":
        bound = lower if lower is not None else upper
        return f"{bound.isoformat()}Z" if isinstance(bound, datetime) else EXAMPLE_TIME
    if column.type in ("string", "boolean"):
        return {"string": "text", "boolean": True}[column.type]
    bound = lower if lower is not None else upper if upper is not None else 1
    return int(bound) if column.type == "long" else float(bound)  # type: ignore[arg-type]  # numbers, as the type says
