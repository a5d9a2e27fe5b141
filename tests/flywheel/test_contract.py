"""The contract: what one row must keep to, and what it becomes."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flywheel.contract import Column, ColumnType, Contract, read_contract
from flywheel.errors import ContractError, IntegrityError

CONTRACT = Contract(
    columns=(
        Column(name="at", type="datetime", nullable=False),
        Column(name="long", type="long", nullable=False),
        Column(name="double", type="double", nullable=True),
        Column(name="string", type="string", nullable=False),
        Column(name="boolean", type="boolean", nullable=False),
    ),
    event_time="at",
    entity="key",
    subject="person",
)
ROW: dict[str, Any] = {
    "at": "2013-01-31T10:00:00Z",
    "long": 3,
    "double": 0.5,
    "string": "x",
    "boolean": True,
    "key": "k",
}

SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(datetime.isoformat)
VALUE = SCALAR | st.lists(st.integers()) | st.dictionaries(st.text(), st.integers())


@settings(deadline=None)
@given(row=st.dictionaries(st.sampled_from([*ROW, "person", "other"]), VALUE))
def test_a_row_is_either_valid_or_refused_by_field_and_rule(row: dict[str, Any]) -> None:
    refusal, valid = None, None
    try:
        valid = CONTRACT.validate_row(row)
    except ContractError as fault:
        refusal = fault
    if valid is None:
        assert refusal is not None
        assert refusal.rule in {"missing", "unknown", "type", "range", "finite"}
        assert refusal.field in {*ROW, "person", "other"}
        return
    assert list(valid.inputs) == [column.name for column in CONTRACT.columns]
    assert type(valid.inputs["long"]) is int
    assert valid.inputs["double"] is None or math.isfinite(valid.inputs["double"])
    assert valid.event_time.tzinfo is None


@settings(deadline=None)
@given(moment=st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()))
def test_a_time_with_an_offset_becomes_the_same_moment_in_utc(moment: datetime) -> None:
    valid = CONTRACT.validate_row(ROW | {"at": moment.isoformat()})
    assert valid.event_time == moment.astimezone(UTC).replace(tzinfo=None)
    assert valid.inputs["at"] == valid.event_time


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"long": 1.5}, "long", "type"),
        ({"long": True}, "long", "type"),
        ({"long": "3"}, "long", "type"),
        ({"long": 2**63}, "long", "range"),
        ({"long": None}, "long", "missing"),
        ({"double": math.nan}, "double", "finite"),
        ({"double": -math.inf}, "double", "finite"),
        ({"double": 10**400}, "double", "range"),
        ({"double": False}, "double", "type"),
        ({"string": 1}, "string", "type"),
        ({"boolean": 1}, "boolean", "type"),
        ({"at": 0}, "at", "type"),
        ({"at": "yesterday"}, "at", "type"),
        ({"at": "0001-01-01"}, "at", "range"),
        ({"at": "9999-12-31T23:00:00-05:00"}, "at", "type"),
        ({"key": 1.5}, "key", "type"),
        ({"key": ""}, "key", "range"),
        ({"typo": 1}, "typo", "unknown"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_with_field_rule_and_a_remedy(
    change: dict[str, Any], field: str, rule: str
) -> None:
    with pytest.raises(ContractError) as caught:
        CONTRACT.validate_row(ROW | change)
    assert (caught.value.field, caught.value.rule) == (field, rule)
    assert str(caught.value).startswith(("Column", "Key"))


def test_a_missing_column_is_refused_even_when_it_may_be_null() -> None:
    with pytest.raises(ContractError, match="'double' is missing"):
        CONTRACT.validate_row({name: value for name, value in ROW.items() if name != "double"})


def test_whole_numbers_of_any_writing_are_longs_and_keys_become_text() -> None:
    valid = CONTRACT.validate_row(ROW | {"long": 3.0, "double": 2, "key": 17, "person": "p"})
    assert (valid.inputs["long"], valid.inputs["double"]) == (3, 2.0)
    assert type(valid.inputs["double"]) is float
    assert (valid.entity, valid.subject) == ("17", "p")


def test_what_is_allowed_but_worth_knowing_is_flagged() -> None:
    row = {name: value for name, value in ROW.items() if name != "key"} | {"double": None}
    assert CONTRACT.validate_row(row).flags == ["null:double", "no entity"]


def test_a_contract_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_text(CONTRACT.model_dump_json())
    assert read_contract(path) == CONTRACT
    assert read_contract(path).validate_row(ROW) == CONTRACT.validate_row(ROW)


def test_a_damaged_or_absent_contract_is_named(tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_contract(path)
    path.write_text("{}")
    with pytest.raises(IntegrityError, match="damaged"):
        read_contract(path)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ([("at", "datetime", False), ("a", "long", False), ("a", "double", False)], "same name"),
        ([("a", "long", False)], "event time"),
        ([("at", "datetime", True)], "event time"),
        ([("at", "datetime", False), ("key", "string", True)], "keys"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(columns: list[tuple[str, ColumnType, bool]], sentence: str) -> None:
    made = tuple(Column(name=name, type=kind, nullable=nullable) for name, kind, nullable in columns)
    with pytest.raises(ValidationError, match=sentence):
        Contract(columns=made, event_time="at", entity="key")
