"""Daily weather of Seattle, 2012 to 2015 (PyPI: vega-datasets)."""

import importlib.util
from datetime import datetime
from pathlib import Path

import polars as pl

WET_MM = 0.0
EVENING = 24  # a day is measured when it is over: at midnight


def load(as_of: datetime | None) -> pl.DataFrame:
    """Return one row a day; `rain_tomorrow` is null on the last day of the data.

    Args:
        as_of: Leave out days measured at this time (UTC) or later; None keeps all. A label that lies beyond it is
            cut by training, which knows when labels become available.
    """
    days = pl.read_csv(data_file(), null_values=["NA", ""])
    frame = days.select(
        day="date",
        measured=pl.col("date").str.to_datetime("%Y/%m/%d", time_unit="us") + pl.duration(hours=EVENING),
        precipitation=pl.col("precipitation").cast(pl.Float64),
        temp_max=pl.col("temp_max").cast(pl.Float64),
        temp_min=pl.col("temp_min").cast(pl.Float64),
        wind=pl.col("wind").cast(pl.Float64),
        weather="weather",
    ).sort("measured")
    frame = frame.with_columns(rain_tomorrow=(pl.col("precipitation").shift(-1) > WET_MM).cast(pl.Int8))
    return frame if as_of is None else frame.filter(pl.col("measured") < as_of)


def data_file() -> Path:
    """Find the wheel's file without importing the package, which loads its whole catalogue."""
    found = importlib.util.find_spec("vega_datasets")
    if found is None or found.origin is None:
        raise FileNotFoundError("package vega-datasets is not installed; install Flywheel's extra `examples`")
    return Path(found.origin).parent / "_data" / "seattle-weather.csv"
