"""The JSON Schema of usecase.yaml: shipped as generated, and what editors see agrees with what loading accepts."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import SpecError
from flywheel.schema import PAGE, PATH, duration_text, render_schema, usecase_schema
from flywheel.schema_page import render_page
from flywheel.usecase import parse_duration, parse_usecase
from tests.flywheel.schema_check import violations

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/usecase.yaml"))
LEAST: dict[str, Any] = {
    "name": "some-case",
    "data": {"source": {"kind": "csv", "path": "rows.csv"}, "event_time": "at", "label": {"column": "y"}},
}


def wrong(document: Any) -> list[str]:
    schema = usecase_schema()
    return violations(json.loads(json.dumps(document, default=datetime.isoformat)), schema, schema)


def test_the_shipped_file_is_what_the_models_make() -> None:
    assert PATH.read_text() == render_schema(), "run: python -m flywheel.schema"


def test_the_reference_page_is_what_the_models_make() -> None:
    assert PAGE.read_text() == render_page(usecase_schema()), "run: python -m flywheel.schema"


def test_every_key_of_a_use_case_stands_on_the_page_with_its_meaning() -> None:
    rows = [line for line in render_page(usecase_schema()).splitlines() if line.startswith("| `")]
    schema = usecase_schema()
    keys = [key for node in (schema, *schema["$defs"].values()) for key in node["properties"]]
    assert sorted(row.split("`")[1] for row in rows) == sorted(keys)
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_names_the_schema_in_its_first_line_and_keeps_to_it(path: Path) -> None:
    text = path.read_text()
    first = text.splitlines()[0]
    assert first == "# yaml-language-server: $schema=../../platform/flywheel/usecase.schema.json"
    assert (path.parent / first.partition("$schema=")[2]).resolve() == PATH
    assert wrong(yaml.safe_load(text)) == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize(
    "change",
    [
        {"trials": 5},
        {"train": {"trails": 5}},
        {"train": {"trials": 0}},
        {"train": {"validation": "two weeks"}},
        {"name": "Some Case"},
        {"data": {}},
        {"task": "ranking"},
        {"rollout": {"steps": [0]}},
        {"checks": {"columns": {"x": {"minimum": 1}}}},
    ],
)
def test_an_editor_marks_what_loading_refuses(change: dict[str, Any]) -> None:
    document = LEAST | change
    assert wrong(document)
    with pytest.raises(SpecError):
        parse_usecase(document, "test")


def test_the_least_use_case_and_all_defaults_keep_to_the_schema() -> None:
    assert wrong(LEAST) == []
    schema = usecase_schema()
    for definition in (schema, *schema["$defs"].values()):
        for part in definition.get("properties", {}).values():
            if part.get("default") is not None:
                assert violations(part["default"], {k: v for k, v in part.items() if k != "default"}, schema) == []


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_a_duration_is_written_as_it_is_read(seconds: int) -> None:
    assert parse_duration(duration_text(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
