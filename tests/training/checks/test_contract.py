"""The contract of a use case: types from the rows, limits from what the use case says."""

from typing import Any

import polars as pl
import pytest

from flywheel.contract import Column, outputs_of
from flywheel.errors import ContractError, DataError, SpecError
from tests.training.checked import contract_of, rows_of, usecase_of

ROWS = rows_of(days=2)
AT = "2024-01-01T00:00:00Z"


def column_of(name: str, frame: pl.DataFrame = ROWS, **checks: Any) -> Column:
    columns = contract_of(frame, usecase_of(**checks)).columns
    return next(column for column in columns if column.name == name)


def test_types_come_from_the_rows_and_keys_and_outputs_from_the_use_case() -> None:
    contract = contract_of(ROWS, usecase_of())
    assert {column.name: column.type for column in contract.columns} == {
        "at": "datetime",
        "size": "double",
        "weight": "double",
        "colour": "string",
        "new": "boolean",
        "count": "long",
    }
    assert (contract.event_time, contract.entity, contract.outputs) == ("at", "key", outputs_of("binary"))


def test_whole_numbers_and_booleans_may_be_missing_only_when_training_saw_it() -> None:
    assert not column_of("count").nullable
    assert not column_of("new").nullable
    assert column_of("size").nullable
    gaps = ROWS.with_columns(pl.when(pl.int_range(pl.len()) > 3).then(pl.col("count", "new")))
    assert column_of("count", gaps) == Column(name="count", type="long", nullable=True)
    assert column_of("new", gaps).nullable


@pytest.mark.parametrize(("action", "breach"), [("warn", "flag"), ("quarantine", "refuse"), ("stop", "refuse")])
def test_limits_come_from_the_use_case_with_what_they_lead_to_in_requests(action: str, breach: str) -> None:
    column = column_of("size", columns={"size": {"min": 0, "max": 9, "max_missing": 0, "action": action}})
    assert (column.minimum, column.maximum, column.breach) == (0, 9, breach)
    assert column.nullable == (action == "warn")


def test_a_check_that_is_off_limits_nothing() -> None:
    column = column_of("size", columns={"size": {"min": 0, "max_missing": 0, "action": "off"}})
    assert column == Column(name="size", type="double", nullable=True)


def test_a_request_out_of_range_is_refused_or_flagged() -> None:
    row = {"at": AT, "size": -1.0, "weight": 1.0, "colour": "red", "new": True, "count": 1, "key": "k"}
    strict = contract_of(ROWS, usecase_of(columns={"size": {"min": 0, "max": 9}}))
    with pytest.raises(ContractError, match=r"'size' must lie between 0.0 and 9.0. Correct it.") as caught:
        strict.validate_row(row)
    assert (caught.value.field, caught.value.rule) == ("size", "range")
    lenient = contract_of(ROWS, usecase_of(columns={"size": {"min": 0, "action": "warn"}}))
    assert lenient.validate_row(row).flags == ["range:size"]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"sise": {"min": 0}}, "checks.columns: 'sise' is no input of the data, which has: at, size,"),
        ({"sise": {"unique": True}, "x": {}}, "'sise', 'x' are no inputs"),
        ({"key": {"unique": True, "max_missing": 0}}, "'key' is a key, which can only be unique"),
        ({"colour": {"min": 0}}, "checks.columns.colour: column 'colour' is string, which has no minimum"),
        ({"size": {"categories": ["a"]}}, "only text has categories"),
        ({"colour": {"categories": []}}, "empty list"),
        ({"size": {"min": 2, "max": 1}}, "minimum above its maximum"),
        ({"size": {"min": float("inf")}}, "checks.columns.size: it must be a finite number"),
    ],
)
def test_checks_that_cannot_be_are_refused_by_name(columns: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        contract_of(ROWS, usecase_of(columns=columns))


def test_an_input_of_a_type_that_no_model_takes_is_named() -> None:
    with pytest.raises(DataError, match=r"'size' is of type List\(Int64\)"):
        contract_of(ROWS.with_columns(size=pl.Series([[1]] * ROWS.height)), usecase_of())
