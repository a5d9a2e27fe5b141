"""What the models see of an airport's hour, four hours before it begins: each row from itself alone."""

import polars as pl

AS_THEY_ARE = [
    "origin",
    "hour",
    "flights",
    "regional",
    "distance",
    "left",
    "delay",
    "delay_worst",
    "delay_elsewhere",
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
]

NEW_YORK = pl.duration(hours=5)  # behind UTC; an hour of summer time moves no flight of the day to another weekday


def features(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row an airport and hour, in the order of `frame`; text columns are categories."""
    angle = pl.col("wind_dir").radians()
    return frame.select(
        *AS_THEY_ARE,
        weekday=(pl.col("judged") + pl.duration(hours=4) - NEW_YORK).dt.weekday(),
        wind_north=pl.col("wind_speed") * angle.cos(),
        wind_east=pl.col("wind_speed") * angle.sin(),
    )
