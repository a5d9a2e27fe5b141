"""The profile of all training rows: right, small, fast to make, and without anything of a person."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import IntegrityError
from flywheel.profile import read_data_profile
from tests.training.checked import START, profile_of, rows_of
from training.checks.days import SAMPLE_ROWS, days_of, sample_rows
from training.checks.profiling import rows_per_day
from training.checks.uniqueness import repeated_rows

ROWS = rows_of()


def test_a_profile_says_how_rows_days_and_columns_are() -> None:
    profile = profile_of(ROWS.with_columns(pl.when(pl.int_range(pl.len()) % 4 > 0).then("size")))
    assert (profile.rows, profile.days, profile.rows_per_day.mean, profile.rows_per_day.sd) == (960, 40, 24, 0)
    size = next(column for column in profile.columns if column.name == "size")
    assert size.missing_share == size.missing.mean == 0.25
    assert len(size.quantiles) == 101
    assert size.quantiles[50] == pytest.approx(10, abs=0.3)
    assert size.location is not None
    assert size.location.mean == pytest.approx(0, abs=0.01)
    colour = next(column for column in profile.columns if column.name == "colour")
    assert sum(colour.categories.values()) == pytest.approx(1)
    assert profile_of(ROWS).together[0][1] == pytest.approx(0.97, abs=0.02)


def test_a_profile_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "data_profile.json"
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_data_profile(path)
    profile = profile_of(ROWS)
    path.write_text(profile.model_dump_json())
    assert read_data_profile(path) == profile


def test_rare_values_and_keys_do_not_appear() -> None:
    rare = pl.when(pl.int_range(pl.len()) < 19).then(pl.lit("Jane Roe")).otherwise("colour")
    text = profile_of(ROWS.with_columns(colour=rare)).model_dump_json()
    assert "Jane Roe" not in text
    assert "k0-" not in text
    assert "red" in text


def test_a_sample_keeps_the_turns_of_the_calendar_in_proportion() -> None:
    hours = pl.DataFrame({"hour": np.arange(24 * SAMPLE_ROWS) % 24})
    sample = sample_rows(hours)
    assert SAMPLE_ROWS / 2 < sample.height <= SAMPLE_ROWS
    assert sample["hour"].value_counts()["count"].min() == pytest.approx(sample.height / 24, rel=0.01)
    assert sample_rows(ROWS) is ROWS


def test_days_without_rows_count_as_days_of_no_rows() -> None:
    times = ROWS.filter(pl.col("at").dt.day() != 5)["at"]
    counts = rows_per_day(times)
    assert counts.tolist().count(0) == 2  # the fifth of two months
    assert rows_per_day(times.shuffle(seed=1)).tolist() == counts.tolist()
    assert len(days_of(times).rows) == 38


KEYS = st.lists(st.tuples(st.none() | st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@settings(deadline=None)
@given(keys=KEYS, ordered=st.booleans())
def test_repeated_rows_are_those_whose_whole_key_came_before(keys: list[tuple[int | None, int]], ordered: bool) -> None:
    if ordered:
        keys = sorted(keys, key=lambda pair: pair[1])
    frame = pl.DataFrame(
        {
            "entity": pl.Series([entity for entity, _ in keys], dtype=pl.Int64),
            "at": START + np.array([hour for _, hour in keys]) * np.timedelta64(1, "h"),
        }
    )
    expected = [pair in keys[:row] and pair[0] is not None for row, pair in enumerate(keys)]
    found = repeated_rows(frame, ["entity", "at"])
    assert (found.to_list() if found is not None else [False] * len(keys)) == expected
