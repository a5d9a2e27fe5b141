"""What the models see of a day, each row from itself alone."""

from math import pi

import polars as pl


def features(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row a day, in the order of `frame`; text columns are categories."""
    season = pl.col("measured").dt.ordinal_day().cast(pl.Float64) * (2 * pi / 365.25)
    return frame.select(
        "precipitation",
        "temp_max",
        "wind",
        "weather",
        temp_range=pl.col("temp_max") - pl.col("temp_min"),
        season_sin=season.sin(),
        season_cos=season.cos(),
    )
