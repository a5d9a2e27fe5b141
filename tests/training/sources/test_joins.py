"""As-of joins: what a brute-force search would find, and never the future."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from flywheel.usecase import Data, Join, parse_usecase
from training.sources.joins import join_as_of, prepare_table
from training.sources.rows import input_columns, load_source

START = datetime(2024, 1, 1)
NOW = datetime(2024, 2, 1)
HOUR = timedelta(hours=1)


def join_of(by: Sequence[str] = ("key",), **more: Any) -> Join:
    return Join.model_validate(
        {"source": {"kind": "parquet", "path": "other.parquet"}, "by": by, "time": "seen", **more}
    )


def brute_force(row: dict[str, Any], table: list[dict[str, Any]], join: Join) -> int | None:
    """Search the whole table for the latest row that was known; of one time, the last."""
    best: dict[str, Any] | None = None
    for other in table:
        equal = all(row[key] is not None and row[key] == other[key] for key in join.by)
        known = other["seen"] + join.available_after <= row["at"]
        if equal and known and (best is None or other["seen"] >= best["seen"]):
            best = other
    if best is None or (join.within is not None and row["at"] - best["seen"] > join.within):
        return None
    return int(best["value"])


keys = st.sampled_from(["a", "b", None])
hours = st.integers(0, 12)


@settings(deadline=None, max_examples=300)
@given(
    left=st.lists(st.tuples(hours, keys), min_size=1, max_size=12),
    right=st.lists(st.tuples(hours, keys), max_size=12),
    delay=st.integers(0, 3),
    within=st.one_of(st.none(), st.integers(3, 6)),
    by=st.sampled_from([("key",), ()]),
)
def test_the_joined_row_is_the_one_that_a_search_of_the_whole_table_finds(
    left: list[tuple[int, str | None]],
    right: list[tuple[int, str | None]],
    delay: int,
    within: int | None,
    by: tuple[str, ...],
) -> None:
    rows = [
        {"at": START + hour * HOUR, "key": key, "n": n}
        for n, (hour, key) in enumerate(sorted(left, key=lambda r: r[0]))
    ]
    table = [{"seen": START + hour * HOUR, "key": key, "value": n} for n, (hour, key) in enumerate(right)]
    join = join_of(
        by, available_after=delay * HOUR, within=None if within is None else within * HOUR, columns=["value"]
    )
    frame = pl.DataFrame(rows, schema={"at": pl.Datetime("us"), "key": pl.String, "n": pl.Int64})
    other = pl.DataFrame(table, schema={"seen": pl.Datetime("us"), "key": pl.String, "value": pl.Int64})
    found = join_as_of(frame, "at", prepare_table(other, join, "UTC", NOW), join)
    assert found.select(frame.columns).equals(frame)
    assert found["value"].to_list() == [brute_force(row, table, join) for row in rows]


def case(folder: Path, rows: dict[str, Any], other: dict[str, Any], **more: Any) -> Data:
    pl.DataFrame(rows).write_parquet(folder / "rows.parquet")
    pl.DataFrame(other).write_parquet(folder / "other.parquet")
    join = {"source": {"kind": "parquet", "path": "other.parquet"}, "by": ["key"], "time": "seen"}
    data = {
        "source": {"kind": "parquet", "path": "rows.parquet"},
        "event_time": "at",
        "label": {"column": "y"},
        "joins": [join | more],
    }
    return parse_usecase({"name": "joined", "data": data}, "test").data


ROWS = {"at": [START + 5 * HOUR, START + 6 * HOUR], "key": [1, 2], "y": [0, 1]}


def test_a_row_whose_only_partner_lies_in_its_future_stays_with_nulls(tmp_path: Path) -> None:
    data = case(tmp_path, ROWS, {"seen": [START, START + 9 * HOUR], "key": [1, 2], "v": [10, 20]})
    rows = load_source(data, tmp_path, NOW).rows
    assert rows["v"].to_list() == [10, None]
    assert rows["v"].dtype == pl.Int64
    assert input_columns(rows, data) == ["at", "key", "v"]


def test_columns_prefix_and_origin(tmp_path: Path) -> None:
    other = {"seen": [START], "key": pl.Series([1], dtype=pl.Int32), "v": [10], "w": ["x"], "key2": [0]}
    data = case(tmp_path, ROWS, other, columns=["w"], prefix="its_")
    loaded = load_source(data, tmp_path, NOW)
    assert loaded.rows.columns == ["at", "key", "y", "its_w"]
    assert [origin.place for origin in loaded.origin.joins] == ["other.parquet"]
    assert loaded.origin.as_json()["joins"][0]["place"] == "other.parquet"


def test_a_key_may_be_excluded_as_an_input_and_still_join(tmp_path: Path) -> None:
    data = case(tmp_path, ROWS, {"seen": [START], "key": [1], "v": [10]}).model_copy(update={"exclude": ("key", "v2")})
    with pytest.raises(DataError, match="'v2'"):
        load_source(data, tmp_path, NOW)
    rows = load_source(data.model_copy(update={"exclude": ("key",)}), tmp_path, NOW).rows
    assert rows.columns == ["at", "y", "v"]
    assert rows["v"].to_list() == [10, None]


def test_times_of_the_table_are_in_the_use_cases_zone(tmp_path: Path) -> None:
    other = {"seen": ["2024-01-01 00:30"], "key": [1], "v": [10]}  # 05:30 UTC: after the row's event
    rows = {**ROWS, "at": ["2024-01-01T05:00:00Z", "2024-01-01T06:00:00Z"]}
    data = case(tmp_path, rows, other).model_copy(update={"time_zone": "America/New_York"})
    assert load_source(data, tmp_path, NOW).rows["v"].to_list() == [None, None]
    assert load_source(data.model_copy(update={"time_zone": "UTC"}), tmp_path, NOW).rows["v"].to_list() == [10, None]


@pytest.mark.parametrize(
    ("other", "more", "sentence"),
    [
        ({"key": [1], "v": [1]}, {}, "column 'seen' is not in the table, which has: key, v"),
        ({"seen": [START], "v": [1]}, {}, "column 'key' is not in the table"),
        ({"seen": [START], "key": [1], "v": [1]}, {"columns": ["w"]}, "column 'w' is not in the table"),
        ({"seen": [START], "key": ["1"], "v": [1]}, {}, "key 'key' is Int64 in the rows but String in the table"),
        ({"seen": [START], "key": [1], "y": [1]}, {}, "column 'y' is there already. Give the join a prefix"),
        ({"seen": ["soon"], "key": [1], "v": [1]}, {}, r"Time 'seen' is no ISO 8601 time in 1 row: row 1 \('soon'\)"),
        ({"seen": [START], "key": [1], "v": [[1]]}, {}, "Input 'v' is of type List"),
        ({"seen": [START], "key": [1], "v": [1]}, {"within": "1h", "available_after": "2h"}, "no row could ever count"),
        ({"seen": [START], "key": [1], "other": [1], "v": [1]}, {"by": ["other"]}, "key 'other' is not in the rows"),
    ],
)
def test_a_join_that_cannot_be_made_names_itself(
    tmp_path: Path, other: dict[str, Any], more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DataError, match=rf"data\.joins\.0 \(other\.parquet\): .*{sentence}"):
        load_source(case(tmp_path, ROWS, other, **more), tmp_path, NOW)
