"""A validator of the part of JSON Schema that the shipped schema uses; what it does not know, it refuses."""

import re
from typing import Any

TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
NOTES = {"type", "$defs", "$schema", "default", "description", "title", "format"}


def violations(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "") -> list[str]:
    """Return what of `value` breaks the schema, each with its place."""
    if "$ref" in schema:
        return violations(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, where)
    if "type" in schema and not _is(value, schema["type"]):
        return [f"{where}: {value!r} is no {schema['type']}"]
    found: list[str] = []
    for rule, wish in schema.items():
        if rule in NOTES:
            continue
        if rule == "anyOf":
            if all(violations(value, option, root, where) for option in wish):
                found.append(f"{where}: {value!r} suits nothing of anyOf")
        else:
            found += CHECKS[rule](value, wish, schema, root, where)
    return found


def _is(value: Any, kind: str) -> bool:
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[kind])


def _properties(value: Any, wish: Any, schema: Any, root: Any, where: str) -> list[str]:
    return [
        line
        for key, part in value.items()
        if key in wish
        for line in violations(part, wish[key], root, f"{where}.{key}")
    ]


def _additional(value: Any, wish: Any, schema: Any, root: Any, where: str) -> list[str]:
    extra = [key for key in value if key not in schema.get("properties", {})]
    if wish is False:
        return [f"{where}.{key}: unknown" for key in extra]
    return [line for key in extra for line in violations(value[key], wish, root, f"{where}.{key}")]


CHECKS: dict[str, Any] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "required": lambda v, wish, s, r, where: [f"{where}.{key}: missing" for key in wish if key not in v],
    "items": lambda v, wish, s, r, where: [line for part in v for line in violations(part, wish, r, f"{where}[]")],
    "enum": lambda v, wish, s, r, where: [] if v in wish else [f"{where}: {v!r} is none of {wish}"],
    "const": lambda v, wish, s, r, where: [] if v == wish else [f"{where}: {v!r} is not {wish!r}"],
    "pattern": lambda v, wish, s, r, where: [] if re.search(wish, v) else [f"{where}: {v!r} does not match {wish}"],
    "minItems": lambda v, wish, s, r, where: [] if len(v) >= wish else [f"{where}: fewer than {wish}"],
    "maxItems": lambda v, wish, s, r, where: [] if len(v) <= wish else [f"{where}: more than {wish}"],
    "minimum": lambda v, wish, s, r, where: [] if v >= wish else [f"{where}: {v} < {wish}"],
    "maximum": lambda v, wish, s, r, where: [] if v <= wish else [f"{where}: {v} > {wish}"],
    "exclusiveMinimum": lambda v, wish, s, r, where: [] if v > wish else [f"{where}: {v} <= {wish}"],
    "exclusiveMaximum": lambda v, wish, s, r, where: [] if v < wish else [f"{where}: {v} >= {wish}"],
}
