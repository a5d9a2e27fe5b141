"""Outcomes as they come: checked into one form, or refused with the row at fault."""

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from flywheel.errors import DataError
from flywheel.outcomes import check_outcomes

GOOD: dict[str, list[Any]] = {
    "entity": ["a", "b"],
    "outcome": [1, 0],
    "event_time": ["2013-01-01T05:00:00", "2013-01-01T05:00:00+02:00"],
    "time_known": ["2013-01-02", "2013-01-02T00:00:00.5Z"],
}


def test_times_of_any_writing_become_naive_utc() -> None:
    checked = check_outcomes(pl.DataFrame(GOOD), "file")
    assert checked["event_time"].to_list() == [datetime(2013, 1, 1, 5), datetime(2013, 1, 1, 3)]
    assert checked["time_known"].to_list() == [datetime(2013, 1, 2), datetime(2013, 1, 2, 0, 0, 0, 500_000)]
    assert checked["outcome"].to_list() == [1.0, 0.0]
    assert checked["source"].to_list() == ["file", "file"]


def test_typed_columns_are_taken_as_they_are() -> None:
    frame = pl.DataFrame(GOOD | {"entity": [1, 2], "outcome": [True, False]})
    at = pl.Series([datetime(2013, 1, 1)] * 2).dt.replace_time_zone("Europe/Berlin")
    checked = check_outcomes(frame.with_columns(event_time=at), "file")
    assert checked["event_time"].to_list() == [datetime(2012, 12, 31, 23)] * 2
    assert checked["entity"].to_list() == ["1", "2"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"outcome": [1.0, None]}, "row 2 has no finite outcome"),
        ({"outcome": ["x", "y"]}, "must be numbers"),
        ({"outcome": [float("nan"), 1.0]}, "row 1 has no finite outcome"),
        ({"event_time": ["2013-01-01", "soon"]}, "row 2 has no event_time"),
        ({"event_time": ["soon", "later"]}, "row 1 has no event_time"),
        ({"time_known": [5, 6]}, "must be times"),
        ({"entity": ["a", None]}, "row 2 has no entity"),
        ({"entity": [1.5, 2.5]}, "must be text"),
        ({"time_known": ["2012-12-31", "2013-02-01"]}, "row 1 is known before its event"),
        ({"label": [1, 0]}, "'label' is not known"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_with_the_place(change: dict[str, list[Any]], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        check_outcomes(pl.DataFrame(GOOD | change, strict=False), "file")


def test_outcomes_that_are_classes_become_labels_as_they_are_written() -> None:
    checked = check_outcomes(pl.DataFrame(GOOD | {"outcome": ["01", "heavy rain"]}), "file", classes=True)
    assert checked.select("outcome", "label").rows() == [(None, "01"), (None, "heavy rain")]
    assert check_outcomes(pl.DataFrame(GOOD), "file", classes=True)["label"].to_list() == ["1", "0"]
    assert check_outcomes(pl.DataFrame(GOOD), "file")["label"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (["rain", None], "row 2 names no class"),
        ([" ", "rain"], "row 1 names no class"),
        ([0.5, 1.0], "must be text or whole numbers"),
    ],
)
def test_an_outcome_that_names_no_class_is_refused(outcome: list[Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        check_outcomes(pl.DataFrame(GOOD | {"outcome": outcome}), "file", classes=True)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="column 'time_known' is missing"):
        check_outcomes(pl.DataFrame(GOOD).drop("time_known"), "file")
