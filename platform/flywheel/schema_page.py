"""The JSON Schema of usecase.yaml as a page for people: one table a section, in the order of the file."""

import json
from collections.abc import Iterator
from typing import Any

HEAD = """# usecase.yaml

Written by `python -m flywheel.schema` from the models in `platform/flywheel/usecase.py`; do not edit it. What the keys
do is told in [training.md](../training.md). A *duration* is a whole number with a unit: `30s`, `15m`, `12h`, `14d`,
`2w`. Paths are relative to usecase.yaml. Keys that are not listed here are refused.
"""
BOUNDS = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"), ("exclusiveMaximum", "below"))
NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}

Node = dict[str, Any]


def render_page(schema: Node) -> str:
    """Return the page of a schema in Markdown."""
    return "\n".join([HEAD, *(line for path, section in _sections(schema) for line in _table(path, section, schema))])


def _sections(schema: Node) -> Iterator[tuple[str, Node]]:
    """Walk the sections in the order of their keys, each model once, where it first occurs."""
    seen: set[str] = set()

    def walk(path: str, node: Node) -> Iterator[tuple[str, Node]]:
        yield path, node
        for key, part in node["properties"].items():
            name, suffix = _model(part)
            if name is not None and name not in seen:
                seen.add(name)
                yield from walk(f"{path}.{key}{suffix}".lstrip("."), schema["$defs"][name])

    yield from walk("", schema)


def _model(part: Node) -> tuple[str | None, str]:
    """Return the name of the model that a key holds, and how its place is written: `[]` in lists, `.COLUMN` by name."""
    if "$ref" in part:
        return part["$ref"].rpartition("/")[2], ""
    for option in part.get("anyOf", ()):
        if "$ref" in option:
            return _model(option)
    for key, suffix in (("items", "[]"), ("additionalProperties", ".COLUMN")):
        if isinstance(part.get(key), dict) and "$ref" in part[key]:
            return part[key]["$ref"].rpartition("/")[2], suffix
    return None, ""


def _table(path: str, section: Node, schema: Node) -> list[str]:
    heading = f"## {path}" if path else "## The file"
    lines = [heading, "", section["description"], "", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    required = section.get("required", ())
    for key, part in section["properties"].items():
        cells = (f"`{key}`", _type(part), _default(key, part, required), part.get("description", ""))
        lines.append(f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |")
    return [*lines, ""]


def _type(part: Node) -> str:
    name, suffix = _model(part)
    if name is not None:
        return {"": "section", "[]": "list of sections", ".COLUMN": "section for each column"}[suffix]
    if "anyOf" in part:
        return " or ".join(_type(option) for option in part["anyOf"] if option.get("type") != "null")
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if isinstance(part.get("additionalProperties"), dict):
        return f"{_type(part['additionalProperties'])} for each name"
    return f"list of {_type(part['items'])}" if part["type"] == "array" else _plain(part)


def _plain(part: Node) -> str:
    if part.get("format") == "date-time":
        return "time"
    if part["type"] == "string" and "smhdw" in part.get("pattern", ""):
        return "duration"
    bounds = "".join(f", {word} {part[key]}" for key, word in BOUNDS if key in part)
    return NAMES[part["type"]] + bounds


def _default(key: str, part: Node, required: list[str]) -> str:
    if key in required:
        return "required"
    if _model(part)[0] is not None or part["default"] in (None, "", [], {}):
        return "–"
    value = part["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
