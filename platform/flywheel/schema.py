"""The JSON Schemas of usecase.yaml and policy.yaml, for editors: made from the models, shipped as files.

    python -m flywheel.schema        writes them again, and docs/reference, after a change of the models

An editor with a YAML language server reads one when the file begins with `FIRST_LINE`.
"""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter

from flywheel.durations import UNITS
from flywheel.policy import Policy
from flywheel.schema_page import POLICY_HEAD, USECASE_HEAD, render_page
from flywheel.usecase import UseCase

FIRST_LINE = "# yaml-language-server: $schema={}"
PAGES = Path(__file__).parents[2] / "docs" / "reference"
LETTERS = "".join(UNITS)
DURATION = {"type": "string", "pattern": f"^[0-9]+[{LETTERS}]$"}
NOT_NOTHING = {"type": "string", "pattern": f"^0*[1-9][0-9]*[{LETTERS}]$"}
ISO_DURATION = re.compile(r"P(?=.)(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")
SECONDS = {letter: timedelta(**{name: 1}) for letter, name in UNITS.items()}


@dataclass(frozen=True)
class Shipped:
    """A file that people write, as editors and readers are told of it.

    Args:
        stem: Of its name: `usecase` for usecase.yaml.
        model: What it is read by.
        head: What its page begins with.
        entry: What stands in the page for a key that people choose.
    """

    stem: str
    model: type[BaseModel]
    head: str
    entry: str

    @property
    def path(self) -> Path:
        """The shipped schema."""
        return Path(__file__).with_name(f"{self.stem}.schema.json")

    @property
    def page(self) -> Path:
        """The page in the repository."""
        return PAGES / f"{self.stem}.md"

    @property
    def first_line(self) -> str:
        """The comment by which an editor finds the shipped schema, wherever the file lies."""
        return FIRST_LINE.format(self.path)

    def schema(self) -> dict[str, Any]:
        """Make the schema. Durations are text like `14d`, as people write them; pydantic's own are ISO 8601."""
        made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": ""} | self.model.model_json_schema()
        choices = {name: part for name, part in made.get("$defs", {}).items() if "enum" in part}
        made["$defs"] = {name: part for name, part in made["$defs"].items() if name not in choices}
        return dict(_as_written(made | {"title": f"{self.stem}.yaml"}, choices))

    def text(self) -> str:
        """Return the text of the shipped schema."""
        return json.dumps(self.schema(), indent=2, ensure_ascii=False) + "\n"

    def markdown(self) -> str:
        """Return the text of the page."""
        return render_page(self.schema(), self.head, self.entry)


USECASE = Shipped("usecase", UseCase, USECASE_HEAD, "COLUMN")
POLICY = Shipped("policy", Policy, POLICY_HEAD, "NAME")


def policy_text(policy: Policy, note: str = "") -> str:
    """Return a policy as a file that people edit: `note` is a comment above it."""
    comment = f"# {note}\n" if note else ""
    return f"{POLICY.first_line}\n{comment}{yaml.safe_dump(policy.document(), sort_keys=False)}"


def duration_text(duration: timedelta) -> str:
    """Return a duration as usecase.yaml writes it, in the largest unit that divides it: `1d`, `36h`."""
    for letter in ("w", "d", "h", "m"):
        if duration and not duration % SECONDS[letter] and (letter != "w" or duration >= timedelta(weeks=8)):
            return f"{duration // SECONDS[letter]}{letter}"
    return f"{duration // SECONDS['s']}s"


def _as_written(node: Any, choices: dict[str, Any]) -> Any:
    """Return a schema with durations as people write them, and with the choices of enumerations where they are made."""
    if isinstance(node, list):
        return [_as_written(part, choices) for part in node]
    if isinstance(node, str) and ISO_DURATION.fullmatch(node):
        return duration_text(TypeAdapter(timedelta).validate_python(node))
    if not isinstance(node, dict):
        return node
    if node.get("format") == "duration":
        wanted = NOT_NOTHING if "gt" in node else DURATION
        node = {key: value for key, value in node.items() if key not in ("format", "gt")} | wanted
    choice = choices.get(str(node.get("$ref", "")).rpartition("/")[2])
    if choice is not None:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        node = {"type": choice["type"], "enum": choice["enum"]} | rest
    return {key: _as_written(value, choices) for key, value in node.items()}


if __name__ == "__main__":
    for shipped in (USECASE, POLICY):
        shipped.path.write_text(shipped.text())
        shipped.page.write_text(shipped.markdown())
