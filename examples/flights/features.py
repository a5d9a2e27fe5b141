"""What the models see of a flight: its schedule, its route and the weather, each row from itself alone."""

import polars as pl

AS_THEY_ARE = [
    "carrier",
    "origin",
    "dest",
    "distance",
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
    departure = pl.col("hour") * 60 + pl.col("minute")
    arrival = (pl.col("sched_arr_time") // 100) * 60 + pl.col("sched_arr_time") % 100
    angle = pl.col("wind_dir").radians()
    return frame.select(
        *AS_THEY_ARE,
        departure=departure,
        arrival=arrival,
        weekday=(pl.col("scheduled") - NEW_YORK).dt.weekday(),
        flight_number=pl.col("flight"),
        headwind_north=pl.col("wind_speed") * angle.cos(),
        headwind_east=pl.col("wind_speed") * angle.sin(),
    )
