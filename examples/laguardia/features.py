"""What the models see of a flight two hours before it should leave LaGuardia: each row from itself alone."""

import polars as pl

AS_THEY_ARE = [
    "carrier",
    "dest",
    "distance",
    "left",
    "delay",
    "delay_worst",
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
    """Return one row a flight, in the order of `frame`; text columns are categories."""
    angle = pl.col("wind_dir").radians()
    return frame.select(
        *AS_THEY_ARE,
        departure=pl.col("hour") * 60 + pl.col("minute"),
        weekday=(pl.col("judged") + pl.duration(hours=2) - NEW_YORK).dt.weekday(),
        wind_north=pl.col("wind_speed") * angle.cos(),
        wind_east=pl.col("wind_speed") * angle.sin(),
    )
