"""A JSON Schema as a page for people: one table a section, in the order of the file."""

import json
from collections.abc import Iterator
from typing import Any

USECASE_HEAD = """# usecase.yaml

Written by `python -m flywheel.schema` from the models in `platform/flywheel/usecase.py`; do not edit it. What the keys
do is told in [training.md](../training.md). A *duration* is a whole number with a unit: `30s`, `15m`, `12h`, `14d`,
`2w`. Paths are relative to usecase.yaml. Keys that are not listed here are refused.
"""
POLICY_HEAD = """# policy.yaml

Written by `python -m flywheel.schema` from the models in `platform/flywheel/policy.py`; do not edit it. What the keys
do is told in [registry.md](../registry.md#the-policy). A *duration* is a whole number with a unit: `30s`, `15m`, `12h`,
`14d`, `2w`. Keys that are not listed here are refused. Every key has a default: an empty file is a policy.
"""
BOUNDS = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"), ("exclusiveMaximum", "below"))
LIST, BY_NAME = "[]", ".{}"
NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}

Node = dict[str, Any]


def render_page(schema: Node, head: str, entry: str) -> str:
    """Return the page of a schema in Markdown; `entry` stands in places for a key that people choose."""
    tables = (line for path, section in _sections(schema, entry) for line in _table(path, section, entry))
    return "\n".join([head, *tables])


def _sections(schema: Node, entry: str) -> Iterator[tuple[str, Node]]:
    """Walk the sections in the order of their keys, each model once, where it first occurs."""
    seen: set[str] = set()

    def walk(path: str, node: Node) -> Iterator[tuple[str, Node]]:
        yield path, node
        for key, part in node["properties"].items():
            name, suffix = _model(part)
            if name is not None and name not in seen:
                seen.add(name)
                yield from walk(f"{path}.{key}{suffix.format(entry)}".lstrip("."), schema["$defs"][name])

    yield from walk("", schema)


def _model(part: Node) -> tuple[str | None, str]:
    """Return the name of the model that a key holds, and how its place is written: `[]` in lists, `.{}` by name."""
    if "$ref" in part:
        return part["$ref"].rpartition("/")[2], ""
    for option in part.get("anyOf", ()):
        if "$ref" in option:
            return _model(option)
    for key, suffix in (("items", LIST), ("additionalProperties", BY_NAME)):
        name, deeper = _model(part[key]) if isinstance(part.get(key), dict) else (None, "")
        if name is not None and not deeper:
            return name, suffix
    return None, ""


def _table(path: str, section: Node, entry: str) -> list[str]:
    heading = f"## {path}" if path else "## The file"
    lines = [heading, "", section["description"], "", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    required = section.get("required", ())
    for key, part in section["properties"].items():
        cells = (f"`{key}`", _type(part, entry), _default(key, part, required), part.get("description", ""))
        lines.append(f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |")
    return [*lines, ""]


def _type(part: Node, entry: str) -> str:
    name, suffix = _model(part)
    if name is not None:
        by_name = f"section for each {entry.lower()}"
        return {"": "section", LIST: "list of sections", BY_NAME: by_name}[suffix]
    if "anyOf" in part:
        return " or ".join(_type(option, entry) for option in part["anyOf"] if option.get("type") != "null")
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if "const" in part:
        return f"`{json.dumps(part['const'])}`" if part["const"] is True else f"`{part['const']}`"
    if isinstance(part.get("additionalProperties"), dict):
        return f"{_type(part['additionalProperties'], entry)} for each name"
    return f"list of {_type(part['items'], entry)}" if part["type"] == "array" else _plain(part)


def _plain(part: Node) -> str:
    if part.get("format") == "date-time":
        return "time"
    if part["type"] == "string" and "smhdw" in part.get("pattern", ""):
        return "duration"
    if part["type"] == "string" and "24:00" in part.get("pattern", ""):
        return "hour"
    bounds = "".join(f", {word} {part[key]}" for key, word in BOUNDS if key in part)
    return NAMES[part["type"]] + bounds


def _default(key: str, part: Node, required: list[str]) -> str:
    if key in required:
        return "required"
    if _model(part)[0] is not None or part["default"] in (None, "", [], {}):
        return "–"
    value = part["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
