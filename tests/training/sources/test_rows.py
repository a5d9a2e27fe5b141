"""Rows of a use case: cut in time, typed, lean, and clear about what is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from flywheel.usecase import Data, load_usecase, parse_usecase
from training.sources.rows import input_columns, load_rows, load_source

DAY = timedelta(days=1)
END = datetime(2024, 2, 1)
AT = [datetime(2024, 1, 1), datetime(2024, 1, 2)]


def data_of(path: str, kind: str = "parquet", **more: Any) -> Data:
    data = {
        "source": {"kind": kind, "path": path},
        "event_time": "at",
        "label": {"column": "y", "available_after": "1d"},
    }
    return parse_usecase({"name": "some-case", "data": data | more}, "test").data


def python_source(folder: Path, body: str) -> Data:
    (folder / "source.py").write_text(body)
    return data_of("source.py", "python")


def loaded(folder: Path, columns: dict[str, Any], task: Any = "binary", **more: Any) -> pl.DataFrame:
    pl.DataFrame(columns).write_parquet(folder / "rows.parquet")
    return load_rows(data_of("rows.parquet", **more), folder, END, task)


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
    found = load_source(data_of("rows.parquet"), folder, as_of)
    rows = found.rows
    assert rows["at"].is_sorted()
    assert rows.height == sum(time < as_of for time in times)
    assert found.beyond == len(times) - rows.height
    for at, label in rows.select("at", "y").iter_rows():
        assert (label is not None) == (at + DAY <= as_of)


def test_rows_of_one_time_stay_in_the_sources_order(tmp_path: Path) -> None:
    rows = loaded(tmp_path, {"at": [AT[1], AT[0], AT[1], AT[0]], "x": [1, 2, 3, 4], "y": [0, 1, 0, 1]})
    assert rows["x"].to_list() == [2, 4, 1, 3]


def test_csv_with_text_times_of_any_zone_becomes_naive_utc(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("at,x,y\n2024-01-01T02:00:00+02:00,1,0\n2024-01-01T01:00:00Z,2,1\n")
    rows = load_rows(data_of("rows.csv", "csv"), tmp_path, END)
    assert rows["at"].to_list() == [datetime(2024, 1, 1), datetime(2024, 1, 1, 1)]


def test_each_input_becomes_one_of_five_types_and_keeps_its_gaps(tmp_path: Path) -> None:
    time = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "at": [time, time],
            "small": pl.Series([1, None], dtype=pl.Int8),
            "whole": [1, 2],
            "single": pl.Series([1.5, float("nan")], dtype=pl.Float32),
            "double": [float("nan"), float("inf")],
            "money": pl.Series([1, None], dtype=pl.Decimal(10, 2)),
            "word": pl.Series(["a", None], dtype=pl.Categorical),
            "flag": [True, None],
            "day": [date(2024, 1, 5), None],
            "seen": pl.Series([time, None], dtype=pl.Datetime("ms", "UTC")),
            "empty": pl.Series([None, None], dtype=pl.String),
            "y": [True, False],
        }
    )
    frame.with_columns(pl.col("at").dt.convert_time_zone("America/New_York")).write_parquet(tmp_path / "rows.parquet")
    rows = load_rows(data_of("rows.parquet", time_zone="America/New_York"), tmp_path, END)
    moment = pl.Datetime("us")
    assert dict(rows.schema) == {
        "at": moment,
        "small": pl.Int64(),
        "whole": pl.Int64(),
        "single": pl.Float64(),
        "double": pl.Float64(),
        "money": pl.Float64(),
        "word": pl.String(),
        "flag": pl.Boolean(),
        "day": moment,
        "seen": moment,
        "empty": pl.String(),
        "y": pl.Int8(),
    }
    assert rows.row(0) == (AT[0], 1, 1, 1.5, None, 1.0, "a", True, datetime(2024, 1, 5), AT[0], None, 1)
    assert rows.row(1) == (AT[0], None, 2, None, float("inf"), None, None, None, None, None, None, 0)


def test_what_needs_no_change_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "source.py").write_text(
        "import polars as pl\nfrom datetime import datetime\n"
        "FRAME = pl.DataFrame({'at': [datetime(2024, 1, 1)] * 9, 'x': [1.0] * 9, 'k': range(9), 'y': [0] * 9})\n"
        "ADDRESS = FRAME['x'].to_numpy().ctypes.data\n"
        "def load(as_of):\n    return FRAME.with_columns(address=pl.lit(ADDRESS))\n"
    )
    rows = load_rows(data_of("source.py", "python"), tmp_path, END)
    assert rows["x"].to_numpy().ctypes.data == rows["address"][0]


def test_inputs_leave_out_keys_label_and_what_is_excluded(write_usecase: Callable[..., Path]) -> None:
    path = write_usecase()
    data = load_usecase(path).data
    assert input_columns(load_rows(data, path.parent, END), data) == ["at", "size", "count", "colour"]
    less = data.model_copy(update={"exclude": ("count",), "group": "colour"})
    rows = load_rows(less, path.parent, END)
    assert input_columns(rows, less) == ["at", "size"]
    assert set(rows.columns) == {"key", "at", "size", "colour", "good"}


@pytest.mark.parametrize("kind", ["csv", "parquet", "delta", "python"])
def test_a_misspelt_exclusion_is_refused_whatever_the_source(tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame({"at": AT, "x": [1, 2], "leak": [0, 1], "y": [0, 1]})
    frame.write_csv(tmp_path / "rows.csv")
    frame.write_parquet(tmp_path / "rows.parquet")
    frame.write_delta(tmp_path / "rows.delta")
    (tmp_path / "rows.python").write_text("")
    (tmp_path / "rows.py").write_text(
        "import polars as pl\nfrom pathlib import Path\n"
        "def load(as_of):\n    return pl.read_parquet(Path(__file__).with_name('rows.parquet'))\n"
    )
    path = f"rows.{'py' if kind == 'python' else kind}"
    rows = load_rows(data_of(path, kind, exclude=["leak"]), tmp_path, END)
    assert rows.columns == ["at", "x", "y"]
    with pytest.raises(DataError, match=r"Column 'leek' .data.exclude. is neither in the source nor joined.*leak"):
        load_rows(data_of(path, kind, exclude=["leak", "leek"]), tmp_path, END)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("x = 1", "has no function load"),
        ("raise RuntimeError('broken wheel')", "cannot be imported: RuntimeError: broken wheel"),
        ("def load(as_of):\n    raise ValueError('no disk')", r"load\(as_of\) raised ValueError: no disk"),
        ("def load(as_of):\n    return [1]", "returned list"),
        ("import polars as pl\ndef load(as_of):\n    return pl.DataFrame({'at': []})", "has no rows"),
    ],
)
def test_a_python_source_that_fails_says_how(tmp_path: Path, body: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        load_rows(python_source(tmp_path, body), tmp_path, END)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"at": AT, "x": [1, 2]}, "'y' .data.label. is not in the source, which has: at, x"),
        ({"at": AT, "x": [1, 2], "y": [1, 2]}, r"values other than 0 and 1: row 2 \('2'\)"),
        ({"at": AT, "x": [1, 2], "y": ["yes", "no"]}, "holds 'yes', 'no'. Name the value that counts as 1"),
        ({"at": ["soon", "later"], "x": [1, 2], "y": [1, 0]}, r"no ISO 8601 time in 2 rows: row 1 \('soon'\), row 2"),
        ({"at": [1.5, 2.5], "x": [1, 2], "y": [1, 0]}, "Make it a datetime"),
        ({"at": [AT[0], None], "x": [1, 2], "y": [1, 0]}, "missing in 1 row: row 2. Drop"),
        ({"at": AT, "x": [[1], [2]], "y": [1, 0]}, "Input 'x' is of type List"),
        ({"at": AT, "x": pl.Series([1, 2**64 - 1], dtype=pl.UInt64), "y": [1, 0]}, "beyond 64 bits"),
        ({"at": AT, "y": [1, 0]}, "no input column"),
        ({"at": [END, END], "x": [1, 2], "y": [1, 0]}, "no row before"),
        (
            {"at": AT, "x": [1, 2], "y": pl.Series([None, None], dtype=pl.Int8)},
            r"missing in 2 rows of 2 .*row 1, row 2",
        ),
        ({"at": [], "x": [], "y": []}, "has no rows"),
    ],
)
def test_a_frame_that_is_not_as_declared_is_refused(
    tmp_path: Path, columns: dict[str, list[object]], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        loaded(tmp_path, columns)


def test_a_key_is_text_or_a_whole_number(tmp_path: Path) -> None:
    columns = {"at": AT, "x": [1, 2], "y": [1, 0], "day": [date(2024, 1, 1), date(2024, 1, 2)], "part": [0.5, 1.5]}
    assert loaded(tmp_path, columns, entity="day")["day"].to_list() == ["2024-01-01", "2024-01-02"]
    with pytest.raises(DataError, match=r"Column 'part' \(data.subject\) is of type Float64"):
        loaded(tmp_path, columns, subject="part")


def test_only_labels_that_should_be_known_count_as_missing(tmp_path: Path) -> None:
    times = [END - timedelta(hours=hours) for hours in range(100, 0, -1)]
    labels: list[int | None] = [0] * 76 + [None] * 24  # the last day's cannot be known yet
    columns: dict[str, Any] = {
        "key": [f"k{i}" for i in range(100)], "at": times, "x": range(100), "y": labels,
    }  # fmt: skip
    assert loaded(tmp_path, columns, entity="key")["y"].null_count() == 24
    columns["y"] = [None] * 20 + labels[20:]
    with pytest.raises(
        DataError, match=r"missing in 21 rows of 77 .*\(27.3%; .* is 10.0%\): row 1 \(key k0\), row 2 \(key k1\)"
    ):
        loaded(tmp_path, columns, entity="key")
    patient = {"column": "y", "available_after": "1d", "max_missing": 0.3}
    assert loaded(tmp_path, columns, label=patient).height == 100


def test_loading_costs_little_more_than_reading(tmp_path: Path) -> None:
    rows = 400_000
    frame = pl.DataFrame({f"x{i}": pl.int_range(rows, eager=True).cast(pl.Float64) + i for i in range(16)})
    frame = frame.with_columns(
        at=datetime(2023, 1, 1) + pl.int_range(rows) * pl.duration(seconds=1),
        k=pl.int_range(rows),
        y=pl.int_range(rows) % 2 == 0,
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    size = frame.estimated_size() / 1e6
    code = (
        "import resource, sys\nfrom datetime import datetime\nfrom pathlib import Path\n"
        "import polars as pl\nfrom flywheel.usecase import parse_usecase\nfrom training.sources.rows import load_rows\n"
        "data = parse_usecase({'name': 'ab', 'data': {'source': {'kind': 'parquet', 'path': 'rows.parquet'},"
        " 'event_time': 'at', 'label': {'column': 'y'}}}, 't').data\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "rows = load_rows(data, Path(sys.argv[1]), datetime(2024, 1, 1))\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert float(done.stdout) < 3 * size
