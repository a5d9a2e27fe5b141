"""What docs/experiments.md says is so."""

import json
import re
from pathlib import Path

import jsonschema_rs  # comes with schemathesis
import pytest
import yaml

from deploy.experiments.documents import judge_experiment, parse_plan
from deploy.experiments.schema import EXPERIMENT, PATH

DOCS = (Path(__file__).parents[3] / "docs" / "experiments.md").read_text()
PLAN = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)[0])
LOOK = json.loads(re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)[0])
SCHEMA = EXPERIMENT.schema()
KEYS = sorted({key for part in (SCHEMA, *SCHEMA["$defs"].values()) for key in part["properties"]})


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_the_plan_is_documented(key: str) -> None:
    assert f"`{key}`" in DOCS or f"{key}:" in DOCS


def test_the_schema_that_is_shipped_is_that_of_the_models() -> None:
    assert PATH.read_text() == EXPERIMENT.text(), "run: python -m deploy.experiments.schema"


def test_the_documented_plan_is_taken_and_keeps_to_the_schema() -> None:
    assert parse_plan(PLAN, "The plan").name == "checkout ranker"
    jsonschema_rs.validate(SCHEMA, PLAN)
    assert not jsonschema_rs.is_valid(SCHEMA, PLAN | {"colour": "red"})


def test_the_documented_look_is_judged() -> None:
    found = judge_experiment(PLAN, [LOOK])
    assert (found["call"], found["arm"]) == ("promote", "challenger")
    assert {"call", "arm", "reason", "asks", "stop", "arms"} <= set(found)
