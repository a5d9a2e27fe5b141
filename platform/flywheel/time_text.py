"""Times written as text, where anybody may have written them."""

import polars as pl


def times_of(text: pl.Series, time_zone: str | None = None) -> pl.Series:
    """Return text (n_rows,) as times in microseconds, null where it is none, also where none of them is one.

    Polars guesses how times are written from the first of them, and raises where none looks like a time.
    """
    try:
        return text.str.to_datetime(time_unit="us", strict=False, time_zone=time_zone)
    except pl.exceptions.ComputeError:
        return pl.Series(text.name, [None] * len(text), pl.Datetime("us", time_zone))
