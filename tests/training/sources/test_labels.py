"""The label, by task."""

from typing import Any

import polars as pl
import pytest

from flywheel.errors import DataError
from flywheel.usecase import Label, Task
from training.sources.labels import typed_label

NAN, INF = float("nan"), float("inf")


def typed(values: list[Any], task: Task, positive: str | int | bool | None = None) -> list[Any]:
    return typed_label(pl.Series("y", values), Label(column="y", positive=positive), task).to_list()


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [
        ([True, False, None], None, [1, 0, None]),
        ([0.0, 1.0, NAN], None, [0, 1, None]),
        (["yes", "no", None], "yes", [1, 0, None]),
        ([1, 2, 2], 2, [0, 1, 1]),
        ([True, False, None], False, [0, 1, None]),
        (["a", "b", "c"], "c", [0, 0, 1]),
    ],
)
def test_a_binary_label_becomes_0_and_1(values: list[Any], positive: Any, expected: list[Any]) -> None:
    assert typed(values, "binary", positive) == expected


def test_classes_become_text() -> None:
    assert typed(["sun", None, "rain"], "multiclass") == ["sun", None, "rain"]
    assert typed([3, 1, None], "multiclass") == ["3", "1", None]
    assert typed([3.0, 1.0, NAN], "multiclass") == ["3", "1", None]
    assert (
        typed_label(pl.Series("y", ["a", "b"], dtype=pl.Categorical), Label(column="y"), "multiclass").dtype
        == pl.String
    )


def test_numbers_become_doubles() -> None:
    assert typed([1, 2, None], "regression") == [1.0, 2.0, None]
    assert typed([1.5, NAN], "regression") == [1.5, None]


@pytest.mark.parametrize(
    ("values", "task", "positive", "sentence"),
    [
        ([0, 1, 2, 7], "binary", None, r"other than 0 and 1: row 3 \('2'\), row 4 \('7'\)"),
        (["no", "yes"], "binary", True, r"True is no value of label 'y', which holds 'no', 'yes'. Quote it: YAML"),
        (["no", "yes"], "binary", "late", r"'late' is no value of label 'y', which holds 'no', 'yes'. Correct it"),
        ([0, 1], "binary", "1", "'1' is no value"),
        ([1.5, 2.0], "multiclass", None, r"numbers that name no class: row 1 \('1.5'\)"),
        ([1.0, INF], "multiclass", None, r"row 2 \('inf'\)"),
        ([1.0, INF], "regression", None, r"Label 'y' is infinite: row 2 \('inf'\)"),
        (["1", "2"], "regression", None, "is of type String and holds '1', '2'. Make it a number"),
        ([True, False], "regression", None, "is of type Boolean"),
        ([None, None], "regression", None, "has no value in any row"),
        ([[1], [2]], "multiclass", None, r"is of type List\(Int64\)"),
    ],
)
def test_a_label_that_does_not_suit_the_task_is_named_with_rows(
    values: list[Any], task: Task, positive: Any, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        typed(values, task, positive)
