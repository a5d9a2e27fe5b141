"""Flights out of LaGuardia: four outcomes, judged by what was known two hours before they should leave."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from flywheel.modules import load_module
from flywheel.usecase import load_usecase
from training.data.features import check_rows_alone, load_features
from training.sources.rows import input_columns, load_rows

FOLDER = Path(__file__).parents[2] / "examples" / "laguardia"
USECASE = load_usecase(FOLDER / "usecase.yaml")
ALL = datetime(2014, 2, 1)
JUNE = datetime(2013, 6, 1)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return load_rows(USECASE.data, FOLDER, ALL, USECASE.task)


def test_every_flight_out_of_laguardia_is_there_under_its_own_key(rows: pl.DataFrame) -> None:
    assert rows.height == 104_662
    assert rows["flight_key"].n_unique() == rows.height


def test_an_outcome_is_one_of_four_and_missing_for_diverted_flights(rows: pl.DataFrame) -> None:
    shares = dict(rows["outcome"].drop_nulls().value_counts(normalize=True).iter_rows())
    assert shares == pytest.approx({"on_time": 0.753, "late": 0.143, "very_late": 0.074, "cancelled": 0.030}, abs=0.001)
    assert rows["outcome"].null_count() == 369


def test_outcomes_change_at_fifteen_and_sixty_minutes() -> None:
    ended = pl.DataFrame({"dep_time": [None, 600, 600, 600, 600, 600], "arr_delay": [None, None, 15, 16, 60, 61]})
    outcome = load_module(FOLDER / "source.py", "source").outcome()
    found = ended.select(outcome.alias("outcome"))["outcome"]
    assert found.to_list() == ["cancelled", None, "on_time", "late", "late", "very_late"]


def test_nothing_that_happens_after_the_judgement_is_an_input(rows: pl.DataFrame) -> None:
    leaks = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"}
    assert not leaks & set(rows.columns)


def test_a_flight_is_judged_two_hours_before_its_schedule_in_utc(rows: pl.DataFrame) -> None:
    # The first flight of the data: UA 1714 at 05:29 in New York.
    first = rows.filter(pl.col("flight_key") == "2013-01-01T10:00:00Z|UA|1714")
    assert first["judged"].to_list() == [datetime(2013, 1, 1, 8, 29)]


def test_no_input_knows_more_than_an_earlier_load_knew(rows: pl.DataFrame) -> None:
    earlier = load_rows(USECASE.data, FOLDER, JUNE, USECASE.task)
    inputs = input_columns(rows, USECASE.data)
    assert earlier["judged"].max() < JUNE  # type: ignore[operator]  # a datetime
    assert_frame_equal(rows.filter(pl.col("judged") < JUNE).select(inputs), earlier.select(inputs))


def test_a_label_is_there_a_day_later() -> None:
    earlier = load_rows(USECASE.data, FOLDER, JUNE, USECASE.task)
    known = pl.col("judged") + timedelta(days=1) <= JUNE
    assert earlier.filter(~known)["outcome"].null_count() == earlier.filter(~known).height > 200
    assert earlier.filter(known)["outcome"].null_count() < 371


def test_weather_and_traffic_are_there_for_nearly_all(rows: pl.DataFrame) -> None:
    assert rows["temp"].null_count() / rows.height < 0.01
    by_day = rows.filter(pl.col("hour") >= 10)  # before that nothing has left for hours
    assert by_day["delay"].null_count() / by_day.height < 0.02


def test_all_lies_within_the_ranges_that_the_checks_name(rows: pl.DataFrame) -> None:
    for name, check in USECASE.checks.columns.items():
        outside = pl.lit(value=False)
        if check.min is not None:
            outside |= pl.col(name) < check.min
        if check.max is not None:
            outside |= pl.col(name) > check.max
        assert rows.filter(outside).height == 0, name


def test_features_see_each_row_alone(rows: pl.DataFrame) -> None:
    inputs = rows.select(input_columns(rows, USECASE.data))
    check_rows_alone(load_features(FOLDER / "features.py"), inputs, seed=1)
