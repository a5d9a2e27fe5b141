"""Rows that are not as the reference was: counted as missing or unfit, or refused in one sentence."""

import hashlib
import zlib
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from flywheel.errors import DataError, IntegrityError
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import series_bytes, series_from
from tests.flywheel.profiling.profiled import COLUMNS, START, rows

REFERENCE = profile_rows(rows(20), COLUMNS, "at")


def live(frame: pl.DataFrame) -> Series:
    return profile_rows(frame, COLUMNS, "at", scale=REFERENCE.scale)


def counted(frame: pl.DataFrame, name: str) -> tuple[int, int, int]:
    column = live(frame).merged().columns[name]
    return column.rows, column.missing, column.unfit


def test_a_column_that_vanished_is_missing_in_every_row() -> None:
    frame = rows(1, 50)
    for name in COLUMNS:
        assert counted(frame.drop(name), name) == (50, 50, 0)


def test_values_of_another_type_are_missing_and_counted_as_unfit() -> None:
    frame = rows(1, 50)
    texts = frame.with_columns(x=pl.when(pl.int_range(pl.len()) < 10).then(pl.lit("n/a")).otherwise(pl.lit("1.5")))
    assert counted(texts, "x") == (50, 10, 10)
    assert counted(frame.with_columns(x=pl.col("at")), "x") == (50, 50, 50)
    assert counted(frame.with_columns(x=pl.concat_list("count")), "x") == (50, 50, 50)
    assert counted(frame.with_columns(colour=pl.struct("count")), "colour") == (50, 50, 50)
    assert counted(frame.with_columns(x=pl.lit(timedelta(1))), "x") == (50, 50, 50)
    assert counted(frame.with_columns(colour=pl.lit(b"\xff")), "colour") == (50, 50, 50)
    kinds = frame.with_columns(x=pl.col("colour").cast(pl.Categorical), colour=pl.col("colour").cast(pl.Categorical))
    assert counted(kinds, "x") == (50, 50, 50)
    assert counted(kinds, "colour") == (50, 0, 0)
    assert counted(frame.with_columns(open=pl.lit(7)), "open") == (50, 50, 50)
    assert counted(frame.with_columns(open=pl.int_range(pl.len()) % 2), "open") == (50, 0, 0)


def test_values_without_end_are_placed_at_the_edges_and_in_no_quantile() -> None:
    frame = rows(1, 60).with_columns(
        x=pl.Series(np.tile([np.inf, -np.inf, 0.5, np.nan, 1.0, 1.5], 10)), count=pl.lit(None, pl.Int64)
    )
    block = live(frame).merged()
    assert (block.columns["x"].missing, block.columns["count"].missing) == (10, 60)
    assert block.columns["x"].quantiles([0.0, 1.0]).tolist() == [0.5, 1.5]
    counts = block.numbers["x"].counts
    assert (counts[0], counts[-1], counts.sum()) == (10, 10, 50)
    assert block.numbers["count"].count == 0
    assert block.numbers["count"].mean == 0


def test_times_with_a_zone_are_moved_to_utc_and_days_are_midnights() -> None:
    moment = datetime(2024, 3, 1, 23, 30, tzinfo=UTC)
    frame = pl.DataFrame({"at": [moment, moment + timedelta(hours=1)], "x": [1.0, 2.0]})
    away = frame.with_columns(pl.col("at").dt.convert_time_zone("Asia/Tokyo"))
    starts = [block.start for block in profile_rows(away, {"x": "double"}, "at").blocks]
    assert starts == [datetime(2024, 3, 1), datetime(2024, 3, 2)]
    days = pl.DataFrame({"at": [date(2024, 3, 1)], "x": [1.0]})
    assert profile_rows(days, {"x": "double"}, "at").blocks[0].start == datetime(2024, 3, 1)


def test_no_rows_make_no_blocks_and_nothing_to_merge() -> None:
    series = live(rows(1).clear())
    assert series.blocks == ()
    with pytest.raises(DataError, match="made of no rows"):
        series.merged()
    again = series_from(series_bytes(series.published()), "it")
    assert (again.blocks, again.scale) == ((), REFERENCE.scale)


@pytest.mark.parametrize(
    ("frame", "every", "sentence"),
    [
        (rows(1).drop("at"), timedelta(days=1), "is no column of times"),
        (rows(1).with_columns(at=pl.lit("2024-01-01")), timedelta(days=1), "is no column of times"),
        (rows(1).with_columns(at=pl.col("at").replace({START: None})), timedelta(days=1), "is missing in 1 rows"),
        (rows(1), timedelta(0), "cannot be made"),
        (rows(1).with_columns(at=pl.lit(9 * 10**17).cast(pl.Datetime("us"))), timedelta(days=1), "years 1 to 9999"),
    ],
)
def test_rows_that_lie_nowhere_in_time_are_refused(frame: pl.DataFrame, every: timedelta, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        profile_rows(frame, COLUMNS, "at", every=every)


def test_profiles_that_do_not_go_together_are_refused() -> None:
    frame = rows(2)
    hours = profile_rows(frame, COLUMNS, "at", every=timedelta(hours=1), scale=REFERENCE.scale)
    for other in (hours, profile_rows(frame, COLUMNS, "at")):
        with pytest.raises(DataError, match="different lengths or scales"):
            live(frame).merge(other)
    with pytest.raises(DataError, match="'x' is in both"):
        live(frame).beside(live(frame))
    with pytest.raises(DataError, match="no quantiles"):
        live(frame).merged().columns["colour"].quantiles([0.5])


def signed(body: bytes) -> bytes:
    """Return content whose digest is right."""
    return b"flywheel-blocks 1 sha256:" + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (signed(b"nothing"), "is none"),
        (signed(b"BZh"), "is none"),
        (signed(zlib.compress(b"nothing")), "is none"),
        (signed(zlib.compress(b"\x02\0\0\0\0\0\0\0{}" + b"\0" * 16)), "is none"),
        (b"", "is none"),
        (b"PK\x03\x04", "is none"),
        (b"flywheel-blocks 2 sha256:0\nx", "later Flywheel"),
        (b"flywheel-blocks 1 sha256:0\nx", "its digest does not match"),
    ],
)
def test_what_is_no_profile_is_told_in_one_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(IntegrityError, match=sentence):
        series_from(content, "blocks")
