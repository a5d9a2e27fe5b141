"""Settings that people write: a key that stands twice is a fault in every one of them, wherever it stands."""

import json
from pathlib import Path

import pytest
import yaml

from flywheel.errors import SpecError
from flywheel.serving import load_serving
from flywheel.usecase import load_usecase
from flywheel.yaml_text import parse_yaml, yaml_reason
from registry.hooks.file import parse_hooks

TWICE = "key 'a' is there twice"


@pytest.mark.parametrize("text", ["a: 1\na: 2", "b: {a: 1, a: 2}", "- {a: 1, a: 1}", '{"a": 1, "a": 2}'])
def test_a_key_that_stands_twice_is_a_fault_at_any_depth(text: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        parse_yaml(text)
    assert TWICE in yaml_reason(caught.value)
    assert "\n" not in yaml_reason(caught.value)


def test_the_same_key_in_two_places_is_none() -> None:
    assert parse_yaml("a: {b: 1}\nc: {b: 2}") == {"a": {"b": 1}, "c": {"b": 2}}
    assert parse_yaml("") is None


def test_serving_use_cases_and_hooks_refuse_it_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "serving.yaml").write_text("a: 1\na: 2")
    with pytest.raises(SpecError, match=TWICE):
        load_serving(tmp_path)
    with pytest.raises(SpecError, match=TWICE):
        load_usecase(tmp_path / "serving.yaml")
    with pytest.raises(SpecError, match=TWICE):
        parse_hooks("a: 1\na: 2", "hooks.yaml")


def test_a_character_that_json_writes_in_two_halves_is_one() -> None:
    assert parse_yaml(json.dumps({"\U0001f600": ["\U0001f600"]})) == {"\U0001f600": ["\U0001f600"]}
    with pytest.raises(yaml.YAMLError, match="half of a character"):
        parse_yaml('{"a": "\\ud83d"}')
