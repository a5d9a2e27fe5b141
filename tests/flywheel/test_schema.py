"""The JSON Schemas of usecase.yaml and policy.yaml: shipped as generated, and agreeing with what loading accepts."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.durations import parse_duration
from flywheel.errors import SpecError
from flywheel.policy import Policy, parse_policy
from flywheel.schema import POLICY, USECASE, Shipped, duration_text, policy_text
from flywheel.usecase import parse_usecase
from tests.flywheel.schema_check import violations

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/usecase.yaml"))
LEAST: dict[str, Any] = {
    "name": "some-case",
    "data": {"source": {"kind": "csv", "path": "rows.csv"}, "event_time": "at", "label": {"column": "y"}},
}


LEAST_POLICY: dict[str, Any] = {"people": {"grace": "reviewer", "ann": {"role": "administrator"}}}
EVERYTHING = """\
people:
  ada: {role: data_scientist, commits_as: [ada@example.org]}
  grace: reviewer
  joan: reviewer
  admin: administrator
production:
  approvals: 2
  freeze:
    - {reason: Year's end, start: 2026-12-20T00:00:00Z, end: 2027-01-04T00:00:00Z}
    - {reason: Nobody is there, days: [friday, saturday], hours: ["18:00", "24:00"], time_zone: Europe/Berlin}
gates:
  required: [size, card]
  limits: {size_mb: 50, minimum: {auc: 0.6}, memory_mb: null}
models:
  risk-*: {four_eyes: true, unknown_contributors: refuse, approvals_expire: 7d, gates: [champion], limits: {size_mb: 5}}
"""
every_file = pytest.mark.parametrize("shipped", [USECASE, POLICY], ids=lambda shipped: shipped.stem)


def wrong(document: Any, shipped: Shipped = USECASE) -> list[str]:
    schema = shipped.schema()
    return violations(json.loads(json.dumps(document, default=datetime.isoformat)), schema, schema)


@every_file
def test_the_shipped_file_is_what_the_models_make(shipped: Shipped) -> None:
    assert shipped.path.read_text() == shipped.text(), "run: python -m flywheel.schema"


@every_file
def test_the_reference_page_is_what_the_models_make(shipped: Shipped) -> None:
    assert shipped.page.read_text() == shipped.markdown(), "run: python -m flywheel.schema"


@every_file
def test_every_key_stands_on_the_page_with_its_meaning(shipped: Shipped) -> None:
    rows = [line for line in shipped.markdown().splitlines() if line.startswith("| `")]
    schema = shipped.schema()
    keys = [key for node in (schema, *schema["$defs"].values()) for key in node["properties"]]
    assert sorted(row.split("`")[1] for row in rows) == sorted(keys)
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_names_the_schema_in_its_first_line_and_keeps_to_it(path: Path) -> None:
    text = path.read_text()
    first = text.splitlines()[0]
    assert first == "# yaml-language-server: $schema=../../platform/flywheel/usecase.schema.json"
    assert (path.parent / first.partition("$schema=")[2]).resolve() == USECASE.path
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


@pytest.mark.parametrize(
    "change",
    [
        {"poeple": {}},
        {"people": {"eve": "emperor"}},
        {"people": {"eve": {}}},
        {"may": {"review": ["everybody"]}},
        {"production": {"approvals": 0}},
        {"production": {"approvals_expire": "0d"}},
        {"production": {"freeze": [{"days": ["monday"]}]}},
        {"production": {"freeze": [{"reason": "Lunch", "days": ["monday"], "hours": ["12:00"]}]}},
        {"production": {"freeze": [{"reason": "Lunch", "days": ["monday"], "hours": ["noon", "13:00"]}]}},
        {"gates": {"limits": {"size": 3}}},
        {"models": {"risk": {"four_eyes": False}}},
        {"models": {"risk": {"unknown_contributors": "allow"}}},
    ],
)
def test_an_editor_marks_what_a_server_refuses_in_a_policy(change: dict[str, Any]) -> None:
    document = LEAST_POLICY | change
    assert wrong(document, POLICY)
    with pytest.raises(SpecError):
        parse_policy(yaml.safe_dump(document), "test")


@pytest.mark.parametrize("text", [yaml.safe_dump(LEAST_POLICY), yaml.safe_dump(Policy().document()), EVERYTHING])
def test_a_policy_that_a_server_takes_keeps_to_the_schema(text: str) -> None:
    parse_policy(text, "test")
    assert wrong(yaml.safe_load(text), POLICY) == []


def test_a_policy_is_written_as_a_file_that_an_editor_checks_and_a_server_takes() -> None:
    policy = parse_policy(EVERYTHING, "test")
    first, note, *_ = policy_text(policy, "Policy 2").splitlines()
    assert Path(first.partition("$schema=")[2]) == POLICY.path
    assert note == "# Policy 2"
    assert parse_policy(policy_text(policy), "test") == policy


def test_the_least_use_case_keeps_to_the_schema() -> None:
    assert wrong(LEAST) == []


@every_file
def test_all_defaults_keep_to_the_schema(shipped: Shipped) -> None:
    schema = shipped.schema()
    for definition in (schema, *schema["$defs"].values()):
        for part in definition.get("properties", {}).values():
            if part.get("default") is not None:
                assert violations(part["default"], {k: v for k, v in part.items() if k != "default"}, schema) == []


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_a_duration_is_written_as_it_is_read(seconds: int) -> None:
    assert parse_duration(duration_text(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
