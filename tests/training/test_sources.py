"""The source: cut in time, typed, and clear about what is wrong."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from flywheel.usecase import Data, load_usecase, parse_usecase
from training.sources.rows import input_columns, load_rows

DAY = timedelta(days=1)
END = datetime(2024, 2, 1)


def data_of(path: str, kind: str = "parquet", label: str = "y") -> Data:
    data = {
        "source": {"kind": kind, "path": path},
        "event_time": "at",
        "label": {"column": label, "available_after": "1d"},
    }
    return parse_usecase({"name": "some-case", "data": data}, "test").data


def python_source(folder: Path, body: str) -> Data:
    (folder / "source.py").write_text(body)
    return data_of("source.py", "python")


@settings(deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=50), st.integers(1, 200))
def test_no_row_and_no_label_is_known_before_its_time(
    tmp_path_factory: pytest.TempPathFactory, hours: list[int], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("source")
    start = datetime(2024, 1, 1)
    times = [start, *(start + timedelta(hours=hour) for hour in hours)]
    pl.DataFrame({"at": times, "x": range(len(times)), "y": [1] * len(times)}).write_parquet(folder / "rows.parquet")
    as_of = start + timedelta(hours=cut)
    rows = load_rows(data_of("rows.parquet"), folder, as_of)
    assert rows["at"].is_sorted()
    assert rows.height == sum(time < as_of for time in times)
    for at, label in rows.select("at", "y").iter_rows():
        assert (label is not None) == (at + DAY <= as_of)


def test_csv_with_text_times_of_any_zone_becomes_naive_utc(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("at,x,y\n2024-01-01T02:00:00+02:00,1,0\n2024-01-01T01:00:00Z,2,1\n")
    rows = load_rows(data_of("rows.csv", "csv"), tmp_path, END)
    assert rows["at"].to_list() == [datetime(2024, 1, 1), datetime(2024, 1, 1, 1)]


def test_aware_times_become_naive_utc_and_whole_numbers_with_gaps_become_doubles(tmp_path: Path) -> None:
    time = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame({"at": [time, time], "x": [1, None], "z": [1, 2], "s": ["a", None], "y": [True, False]})
    frame.with_columns(pl.col("at").dt.convert_time_zone("America/New_York")).write_parquet(tmp_path / "rows.parquet")
    rows = load_rows(data_of("rows.parquet"), tmp_path, END)
    assert rows.schema == {"at": pl.Datetime("us"), "x": pl.Float64, "z": pl.Int64, "s": pl.String, "y": pl.Int8}
    assert rows["at"][0] == datetime(2024, 1, 1)


def test_inputs_leave_out_keys_and_label(write_usecase: Callable[..., Path]) -> None:
    path = write_usecase()
    data = load_usecase(path).data
    assert input_columns(load_rows(data, path.parent, END), data) == ["at", "size", "count", "colour"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("x = 1", "has no function load"),
        ("raise RuntimeError('broken wheel')", "cannot be imported: RuntimeError: broken wheel"),
        ("def load(as_of):\n    raise ValueError('no disk')", r"load\(as_of\) raised ValueError: no disk"),
        ("def load(as_of):\n    return [1]", "returned list"),
    ],
)
def test_a_python_source_that_fails_says_how(tmp_path: Path, body: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        load_rows(python_source(tmp_path, body), tmp_path, END)


AT = [datetime(2024, 1, 1)] * 2


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"at": AT, "x": [1, 2]}, "'y' .data.label. is not in the source, which has: at, x"),
        ({"at": AT, "x": [1, 2], "y": [1, 2]}, "values other than 0 and 1"),
        ({"at": AT, "x": [1, 2], "y": ["yes", "no"]}, "Make it 0, 1 or null"),
        ({"at": ["soon", "later"], "x": [1, 2], "y": [1, 0]}, "no ISO 8601 time"),
        ({"at": [1.5, 2.5], "x": [1, 2], "y": [1, 0]}, "Make it a datetime"),
        ({"at": [AT[0], None], "x": [1, 2], "y": [1, 0]}, "missing in 1 rows"),
        ({"at": AT, "x": [[1], [2]], "y": [1, 0]}, "Input 'x' is of type List"),
        ({"at": AT, "x": [True, None], "y": [1, 0]}, "fill its missing values"),
        ({"at": AT, "y": [1, 0]}, "no input column"),
        ({"at": [END, END], "x": [1, 2], "y": [1, 0]}, "no row before"),
    ],
)
def test_a_frame_that_is_not_as_declared_is_refused(
    tmp_path: Path, columns: dict[str, list[object]], sentence: str
) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=sentence):
        load_rows(data_of("rows.parquet"), tmp_path, END)


def test_a_wrong_path_and_a_wrong_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv does not exist"):
        load_rows(data_of("gone.csv", "csv"), tmp_path, END)
    (tmp_path / "rows.parquet").write_text("at,x\n")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        load_rows(data_of("rows.parquet"), tmp_path, END)
