"""Hours of airports: judged by the schedule and by what was known four hours before, never by what came later."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from flywheel.modules import load_module
from flywheel.usecase import load_usecase
from training.data.features import check_rows_alone, load_features
from training.sources.rows import input_columns, load_rows

FOLDER = Path(__file__).parents[2] / "examples" / "airports"
USECASE = load_usecase(FOLDER / "usecase.yaml")
ALL = datetime(2014, 2, 1)
JUNE = datetime(2013, 6, 1)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return load_rows(USECASE.data, FOLDER, ALL, USECASE.task)


@pytest.fixture(scope="module")
def departures() -> pl.DataFrame:
    loaded = load_module(FOLDER / "departures.py", "source").load(None)
    assert isinstance(loaded, pl.DataFrame)
    return loaded


def test_each_airport_and_hour_of_2013_with_five_scheduled_flights_is_there_once(rows: pl.DataFrame) -> None:
    assert rows.height == 17_677
    assert rows["airport_hour"].n_unique() == rows.height
    assert rows["flights"].min() == 5
    assert rows["judged"].dt.date().n_unique() == 365


def test_the_label_is_the_mean_delay_of_the_hours_departures(rows: pl.DataFrame) -> None:
    hour = rows.filter(pl.col("airport_hour") == "LGA|2013-01-01T11:00:00Z")  # from 06:00 in New York
    assert hour["judged"].to_list() == [datetime(2013, 1, 1, 7)]
    assert hour["flights"].to_list() == [17]
    assert hour["mean_delay"].item() == pytest.approx(72 / 17)
    assert rows["mean_delay"].mean() == pytest.approx(12.4, abs=0.1)
    assert rows["mean_delay"].max() <= 180  # type: ignore[operator]  # a number


def test_an_hour_that_was_cancelled_stays_without_a_label(rows: pl.DataFrame) -> None:
    assert rows["mean_delay"].null_count() == 71
    storm = rows.filter(pl.col("judged").dt.date() == datetime(2013, 2, 8).date())  # the blizzard Nemo
    assert storm["mean_delay"].null_count() > 10


def test_a_delayed_flight_counts_in_the_hour_in_which_it_left(departures: pl.DataFrame) -> None:
    assert departures["left"].sum() == 336_776 - 8_255
    assert departures["delay"].max() > 180  # type: ignore[operator]  # a number
    assert departures["delay_elsewhere"].is_nan().sum() == 0


def test_what_is_joined_was_over_an_hour_before_the_judgement(rows: pl.DataFrame, departures: pl.DataFrame) -> None:
    row = rows.row(by_predicate=pl.col("airport_hour") == "JFK|2013-07-10T22:00:00Z", named=True)
    last = departures.filter(
        (pl.col("origin") == "JFK") & (pl.col("hour_left") + timedelta(hours=1) <= row["judged"])
    ).sort("hour_left")
    assert last["hour_left"][-1] == datetime(2013, 7, 10, 17)  # judged at 18:00
    assert (row["left"], row["delay"]) == (last["left"][-1], last["delay"][-1])


def test_no_input_knows_more_than_an_earlier_load_knew(rows: pl.DataFrame) -> None:
    earlier = load_rows(USECASE.data, FOLDER, JUNE, USECASE.task)
    inputs = input_columns(rows, USECASE.data)
    assert earlier["judged"].max() < JUNE  # type: ignore[operator]  # a datetime
    assert_frame_equal(rows.filter(pl.col("judged") < JUNE).select(inputs), earlier.select(inputs))


def test_a_label_is_there_a_day_later() -> None:
    earlier = load_rows(USECASE.data, FOLDER, JUNE, USECASE.task)
    known = pl.col("judged") + timedelta(days=1) <= JUNE
    assert earlier.filter(~known)["mean_delay"].null_count() == earlier.filter(~known).height > 40
    assert earlier.filter(known)["mean_delay"].null_count() < 71


def test_of_the_wind_one_reading_is_impossible_and_the_checks_name_its_range(rows: pl.DataFrame) -> None:
    wind = USECASE.checks.columns["wind_speed"]
    assert rows.filter(pl.col("wind_speed") > wind.max)["wind_speed"].round().to_list() == [1048.0]


def test_all_else_lies_within_the_ranges_that_the_checks_name(rows: pl.DataFrame) -> None:
    for name, check in USECASE.checks.columns.items():
        outside = pl.lit(value=False)
        if check.min is not None:
            outside |= pl.col(name) < check.min
        if check.max is not None:
            outside |= pl.col(name) > check.max
        assert rows.filter(outside).height == (1 if name == "wind_speed" else 0), name


def test_features_see_each_row_alone(rows: pl.DataFrame) -> None:
    inputs = rows.select(input_columns(rows, USECASE.data))
    check_rows_alone(load_features(FOLDER / "features.py"), inputs, seed=1)
