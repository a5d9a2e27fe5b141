"""The JSON Schema of usecase.yaml, for editors: made from the models, shipped as a file.

    python -m flywheel.schema        writes it again, and docs/reference/usecase.md, after a change of the models

An editor with a YAML language server reads it when the file begins with `FIRST_LINE`.
"""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from flywheel.schema_page import render_page
from flywheel.usecase import UNITS, UseCase

PATH = Path(__file__).with_name("usecase.schema.json")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "usecase.md"
FIRST_LINE = "# yaml-language-server: $schema={}"
DURATION = {"type": "string", "pattern": f"^[0-9]+[{''.join(UNITS)}]$"}
ISO_DURATION = re.compile(r"P(?=.)(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")
SECONDS = {letter: timedelta(**{name: 1}) for letter, name in UNITS.items()}


def usecase_schema() -> dict[str, Any]:
    """Make the schema. Durations are text like `14d`, as people write them; pydantic's own are ISO 8601."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "usecase.yaml",
        **UseCase.model_json_schema(),
    }
    schema["title"] = "usecase.yaml"
    return dict(_as_written(schema))


def render_schema() -> str:
    """Return the text of the shipped file."""
    return json.dumps(usecase_schema(), indent=2, ensure_ascii=False) + "\n"


def duration_text(duration: timedelta) -> str:
    """Return a duration as usecase.yaml writes it, in the largest unit that divides it: `1d`, `36h`."""
    for letter in ("w", "d", "h", "m"):
        if duration and not duration % SECONDS[letter] and (letter != "w" or duration >= timedelta(weeks=8)):
            return f"{duration // SECONDS[letter]}{letter}"
    return f"{duration // SECONDS['s']}s"


def _as_written(node: Any) -> Any:
    if isinstance(node, list):
        return [_as_written(part) for part in node]
    if isinstance(node, str) and ISO_DURATION.fullmatch(node):
        return duration_text(TypeAdapter(timedelta).validate_python(node))
    if not isinstance(node, dict):
        return node
    if node.get("format") == "duration":
        node = {key: value for key, value in node.items() if key != "format"} | DURATION
    return {key: _as_written(value) for key, value in node.items()}


if __name__ == "__main__":
    PATH.write_text(render_schema())
    PAGE.write_text(render_page(usecase_schema()))
