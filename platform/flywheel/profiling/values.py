"""The values of a frame's column as numbers or names, whatever type it came with; what does not fit is counted."""

import numpy as np
import polars as pl

from flywheel.column_rules import ColumnType
from flywheel.statistics import Floats


def numbers(frame: pl.DataFrame, name: str, kind: ColumnType) -> Floats:
    """Return a column as numbers (n_rows,), times as seconds since 1970; NaN where a row has none."""
    if name not in frame.columns:
        return np.full(frame.height, np.nan)
    values = frame[name]
    if kind == "datetime":
        if not values.dtype.is_temporal():
            return np.full(frame.height, np.nan)
        values = values.cast(pl.Datetime("us")).to_physical().cast(pl.Float64) / 1e6
    elif values.dtype.is_temporal():
        return np.full(frame.height, np.nan)
    return values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()


def names(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a column as text (n_rows,), null where a row has none."""
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, pl.String)
    return frame[name].cast(pl.String, strict=False)


def nulls(frame: pl.DataFrame, name: str) -> int:
    """Return how many rows have nothing in a column at all; all of them where there is no such column."""
    return frame[name].null_count() if name in frame.columns else frame.height
