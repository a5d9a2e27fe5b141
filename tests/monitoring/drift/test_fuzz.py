"""`flywheel drift` on files of any columns, and on content of any bytes: a decision or one sentence."""

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing.parametric import column, dataframes

from flywheel.errors import FlywheelError
from flywheel.monitor_spec import Drift
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series_file import FORMAT, series_bytes
from monitoring.drift.decision import Verdict
from monitoring.drift.file import Request, judge_files
from tests.monitoring.drift.rows import Rows

DAYS, ROWS = 40, 3
KINDS: list[pl.datatypes.DataTypeClass | pl.DataType] = [
    pl.Int8, pl.UInt64, pl.Int64, pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Date, pl.Datetime("ns"), pl.Time,
    pl.Duration, pl.Decimal(20, 3), pl.Binary, pl.Null, pl.Categorical, pl.List(pl.Int64), pl.Struct({"a": pl.Int8}),
]  # fmt: skip


def frames(first_day: int, days: int) -> st.SearchStrategy[pl.DataFrame]:
    """Draw rows of some days: each of the columns a to c may be there or not, and of any type."""
    size = days * ROWS
    start = pl.datetime(2024, 1, 1) + pl.duration(days=first_day)
    times = pl.select(t=start + pl.duration(hours=pl.int_range(size) * (24 // ROWS)))
    drawn = st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(KINDS)), max_size=3, unique_by=lambda one: one[0]
    )
    return drawn.flatmap(
        lambda columns: dataframes(
            [column(name, dtype=kind, allow_null=True) for name, kind in columns],
            min_size=size, max_size=size,
        ).map(lambda frame: frame.hstack(times) if columns else times)
    )  # fmt: skip


def judged(reference: bytes, window: bytes, event_time: str | None) -> Verdict | str:
    with TemporaryDirectory() as folder:
        paths = Path(folder, "reference"), Path(folder, "window")
        for path, content in zip(paths, (reference, window), strict=True):
            path.write_bytes(content)
        try:
            decision, _ = judge_files(Request(paths[0], (paths[1],), event_time, Drift()))
        except FlywheelError as fault:
            return str(fault)
    return decision.verdict


def parquet(frame: pl.DataFrame) -> bytes:
    with TemporaryDirectory() as folder:
        frame.write_parquet(Path(folder, "rows"))
        return Path(folder, "rows").read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames(0, DAYS), frames(DAYS, 5), st.sampled_from(["t", None, "a"]))
def test_files_of_any_columns_are_judged_or_refused(
    reference: pl.DataFrame, window: pl.DataFrame, time: str | None
) -> None:
    found = judged(parquet(reference), parquet(window), time)
    assert isinstance(found, Verdict) or found.endswith(".")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"PAR1", f"{FORMAT} 1 ".encode(), b"t,a\n2024-01-01,"]))
def test_content_of_any_bytes_is_refused(content: bytes, beginning: bytes) -> None:
    window = b"t,a\n2024-03-01,1\n"
    found = judged(beginning + content, window, "t")
    assert isinstance(found, Verdict) or found.endswith(".")


@pytest.fixture(scope="module")
def profile() -> bytes:
    rows = Rows(30, rows=20)
    return series_bytes(profile_rows(rows.days(0, 40), rows.types, "time"))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_profile_that_was_altered_anywhere_is_refused(profile: bytes, data: st.DataObject) -> None:
    content = bytearray(profile)
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    found = judged(bytes(content), b"time,x0\n2024-03-01,1\n", "time")
    assert isinstance(found, str)
    assert found.endswith(".")
