"""The flights: one key a flight, nothing that leaks, and times in UTC."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from flywheel.modules import load_module
from flywheel.usecase import load_usecase
from training.data.features import check_rows_alone, load_features
from training.sources.rows import input_columns, load_rows

FOLDER = Path(__file__).parents[2] / "examples" / "flights"


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    loaded = load_module(FOLDER / "source.py", "source").load(None)
    assert isinstance(loaded, pl.DataFrame)
    return loaded


def test_every_flight_of_2013_is_there_under_its_own_key(flights: pl.DataFrame) -> None:
    assert flights.height == 336_776
    assert flights["flight_key"].n_unique() == flights.height
    assert flights["flight_key"][0].count("|") == 2


def test_only_flights_that_arrived_have_a_label(flights: pl.DataFrame) -> None:
    assert flights["late"].null_count() == 9_430
    assert flights.filter(pl.col("scheduled").dt.month() == 6)["late"].mean() == pytest.approx(0.308, abs=0.01)


def test_nothing_that_happens_after_scheduled_departure_is_an_input(flights: pl.DataFrame) -> None:
    leaks = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"}
    assert not leaks & set(flights.columns)


def test_scheduled_departure_is_in_utc(flights: pl.DataFrame) -> None:
    # The first flight of the data: UA 1545 from Newark, 05:15 in New York.
    first = flights.filter(pl.col("flight_key") == "2013-01-01T10:00:00Z|UA|1545")
    assert first["scheduled"].to_list() == [datetime(2013, 1, 1, 10, 15)]


def test_weather_is_there_for_nearly_all(flights: pl.DataFrame) -> None:
    assert flights["temp"].null_count() / flights.height < 0.006


def test_as_of_hides_later_flights_and_labels() -> None:
    usecase = load_usecase(FOLDER / "usecase.yaml")
    as_of = datetime(2013, 1, 8)
    rows = load_rows(usecase.data, FOLDER, as_of)
    assert rows["scheduled"].max() < as_of  # type: ignore[operator]  # a datetime
    assert rows.filter(pl.col("scheduled") > datetime(2013, 1, 7))["late"].null_count() > 700
    assert rows.filter(pl.col("scheduled") <= datetime(2013, 1, 7))["late"].null_count() < 100


def test_features_see_each_row_alone(flights: pl.DataFrame) -> None:
    usecase = load_usecase(FOLDER / "usecase.yaml")
    inputs = flights.select(input_columns(flights, usecase.data))
    check_rows_alone(load_features(FOLDER / "features.py"), inputs, seed=1)
