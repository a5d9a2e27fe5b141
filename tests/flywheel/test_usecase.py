"""usecase.yaml: defaults, durations, and one sentence for every mistake."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.durations import UNITS, parse_duration
from flywheel.errors import SpecError, UsageError
from flywheel.usecase import Source, load_usecase, parse_usecase

LEAST = {
    "name": "some-case",
    "data": {"source": {"kind": "csv", "path": "rows.csv"}, "event_time": "at", "label": {"column": "y"}},
}


def test_a_source_a_label_and_an_event_time_are_enough() -> None:
    case = parse_usecase(LEAST, "test")
    assert case.features == "features.py"
    assert (case.task, case.train.families, case.train.metric) == ("binary", None, None)
    assert case.rollout.steps == (1, 5, 25, 50)
    assert case.data.label.available_after == timedelta(0)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(UNITS)))
def test_durations_are_a_number_and_a_unit(number: int, unit: str) -> None:
    assert parse_duration(f"{number}{unit}") == timedelta(**{UNITS[unit]: number})


@settings(deadline=None)
@given(st.text(max_size=6))
def test_other_text_is_no_duration_or_one_that_means_what_it_says(text: str) -> None:
    if text.strip()[:-1].isdecimal() and text.strip()[-1:] in UNITS:
        assert isinstance(parse_duration(text), timedelta)
        return
    with pytest.raises(ValueError, match="a number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"trials": 5}, "unknown key 'trials'"),
        ({"train": {"trails": 5}}, "unknown key 'train.trails'"),
        ({"train": {"trials": 0}}, "'train.trials' is wrong"),
        ({"name": "Some Case"}, "'name' is wrong"),
        ({"data": {}}, "key 'data.source' is missing"),
        ({"train": {"validation": "two weeks"}}, "a number and a unit"),
        ({"train": {"validation": 14}}, "a number and a unit"),
        ({"rollout": {"steps": [0]}}, "'rollout.steps.0' is wrong"),
        ({"rollout": {"heal": ["kpi"]}}, "'rollout.heal.0' is wrong"),
        ({"rollout": {"loss_ratio": 1}}, "'rollout.loss_ratio' is wrong"),
        (
            {"rollout": {"guard": ["errors"], "heal": ["errors", "loss"]}},
            "heal: loss is watched only where it is judged: add loss to guard",
        ),
        ({"rollout": {"max_minutes": float("inf")}}, "'rollout.max_minutes' is wrong: it must be a finite number"),
        (
            {"rollout": {"guard": ["errors", "kpi"], "kpi": {"margin": 1}}},
            "margin 1 must be below 1, the most that can",
        ),
        ({"task": "ranking"}, "'task' is wrong"),
        (
            {"evaluate": {"behaviours": [{"name": "n", "column": "c", "expect": "same"}]}},
            "exactly one of set, add, mult",
        ),
        (
            {"evaluate": {"costs": {"false_positive": -1, "false_negative": 1}}},
            "'evaluate.costs.false_positive' is wrong",
        ),
        ({"checks": {"columns": {"age": {"max_missing": 2}}}}, "'checks.columns.age.max_missing' is wrong"),
    ],
)
def test_a_mistake_is_named_with_its_key(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence) as caught:
        parse_usecase(LEAST | change, "test")
    assert isinstance(caught.value, UsageError)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"kind": "sql", "path": "rows.csv"}, "kind sql takes database and query, and no path"),
        ({"kind": "sql", "database": "duckdb:///a.db"}, "kind sql takes database and query, and no path"),
        (
            {"kind": "sql", "database": "postgresql://a:word@h/d", "query": "q"},
            "a password stands in a source's database",
        ),
        ({"kind": "csv"}, "kind csv takes path, and no database or query"),
        ({"kind": "delta", "path": "t", "query": "select 1"}, "kind delta takes path, and no database or query"),
    ],
)
def test_a_source_says_where_its_rows_are_in_the_words_of_its_kind(source: dict[str, str], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        parse_usecase({**LEAST, "data": {"source": source, "event_time": "at", "label": {"column": "y"}}}, "test")


def test_a_source_is_named_without_its_password() -> None:
    source = Source(kind="sql", database="postgresql://ada:${WORD}@db/prod", query="select 1")
    assert source.place == "query on db/prod"
    assert Source(kind="csv", path="rows.csv").place == "rows.csv"


def test_a_file_that_is_missing_no_yaml_or_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        load_usecase(tmp_path / "gone.yaml")
    path = tmp_path / "usecase.yaml"
    path.write_text("name: [unclosed\n")
    with pytest.raises(SpecError, match="is no YAML: while parsing"):
        load_usecase(path)
    path.write_text("- a list\n")
    with pytest.raises(SpecError, match="must be a mapping"):
        load_usecase(path)
    path.write_text(yaml.safe_dump(LEAST))
    assert load_usecase(path).name == "some-case"
