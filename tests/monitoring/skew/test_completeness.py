"""A column that goes missing, and a time that grows old, are told with the day; usual days are not."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from flywheel.profile import DataColumn, DataProfile, DayStatistic
from monitoring.skew.completeness import missing_jumps, stale_times

START = datetime(2013, 4, 1)


def profile(usual: float, spread: float) -> DataProfile:
    columns = tuple(
        DataColumn(name=name, type="double", missing_share=usual, missing=DayStatistic(mean=usual, sd=spread))
        for name in ("wind", "distance")
    )
    return DataProfile(
        rows=10_000, start=START, end=START, days=90, rows_per_day=DayStatistic(mean=100), columns=columns
    )


def window(share: float, seed: int = 1, rows: int = 3_000) -> tuple[pl.DataFrame, pl.Series]:
    random = np.random.default_rng(seed)
    times = pl.Series([START + timedelta(minutes=14 * number) for number in range(rows)], dtype=pl.Datetime("us"))
    absent = pl.Series(random.random(rows) < share)
    wind = pl.Series(random.normal(0, 1, rows)).zip_with(~absent, pl.Series([None] * rows, dtype=pl.Float64))
    return pl.DataFrame({"wind": wind, "distance": random.normal(0, 1, rows)}), times


def test_a_column_that_goes_missing_is_told_with_its_first_day() -> None:
    inputs, times = window(0.02)
    late = times >= START + timedelta(days=20)
    inputs = inputs.with_columns(pl.when(~late).then("wind").alias("wind"))
    (jump,) = missing_jumps(inputs, times, profile(0.02, 0.01))
    assert (jump.column, jump.day, jump.share) == ("wind", (START + timedelta(days=20)).date(), 1.0)
    assert jump.days == 9  # the last day of the window has too few rows to count
    assert jump.reason.startswith("'wind' is missing in 100.0% of the rows of 2013-04-21, usually in 2.0%; so on 9 ")


def test_usual_windows_hardly_ever_jump() -> None:
    found = [missing_jumps(*window(0.05, seed), profile(0.05, 0.0)) for seed in range(60)]
    assert sum(map(bool, found)) <= 2
    assert not any(missing_jumps(*window(0.0, seed), profile(0.0, 0.0)) for seed in range(3))


def test_a_column_that_vanished_is_missing_everywhere() -> None:
    inputs, times = window(0.0)
    (jump,) = missing_jumps(inputs.drop("distance"), times, profile(0.0, 0.0))
    assert (jump.column, jump.share) == ("distance", 1.0)


def test_not_a_number_counts_as_missing_and_few_rows_say_nothing() -> None:
    inputs, times = window(0.0)
    inputs = inputs.with_columns(wind=pl.lit(float("nan")))
    assert [jump.column for jump in missing_jumps(inputs, times, profile(0.0, 0.0))] == ["wind"]
    assert missing_jumps(inputs.head(10), times.head(10), profile(0.0, 0.0)) == ()
    assert missing_jumps(inputs.head(0), times.head(0), profile(0.0, 0.0)) == ()


def ages(hours: float, rows: int = 500) -> tuple[pl.DataFrame, pl.Series]:
    random = np.random.default_rng(2)
    times = pl.Series("scheduled", [START + timedelta(minutes=n) for n in range(rows)], dtype=pl.Datetime("us"))
    lag = pl.Series([timedelta(hours=hours + value) for value in random.uniform(0, 1, rows)])
    return pl.DataFrame({"scheduled": times, "observed": times - lag}), times


def test_a_source_that_stopped_shows_in_the_age_of_its_rows() -> None:
    sample, _ = ages(0.5)
    (stale,) = stale_times(*ages(30), sample, "scheduled")
    assert (stale.column, stale.share) == ("observed", 1.0)
    assert stale.age == pytest.approx(30.5 * 3600, rel=0.01)
    assert stale.reason.startswith("'observed' is 30 hours old in the median row, 59 minutes in training; 100.0%")


def test_rows_as_fresh_as_in_training_are_nothing_to_tell() -> None:
    sample, _ = ages(0.5)
    assert stale_times(*ages(0.5), sample, "scheduled") == ()
    assert stale_times(*ages(0.5), sample.head(0), "scheduled") == ()
