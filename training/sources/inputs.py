"""Raw inputs and keys: each column in one of the types of a contract, touched only when it is not in one already."""

import polars as pl

from flywheel.errors import DataError
from training.sources.times import utc_times

TEXTS = (pl.String, pl.Categorical, pl.Enum)


def typed_inputs(frame: pl.DataFrame, names: list[str], zone: str) -> pl.DataFrame:
    """Bring the named columns to Int64, Float64, String, Boolean or Datetime; missing stays missing, NaN is missing.

    Infinite values stay: whether they may is for the contract to say.

    Raises:
        DataError: A column is of a type that no model takes.
    """
    changed = [column for name in names if (column := _typed(frame[name], zone)) is not None]
    return frame.with_columns(changed) if changed else frame


def typed_key(column: pl.Series, what: str) -> pl.Series:
    """Bring a key to what a request may carry: text or whole numbers.

    Raises:
        DataError: It is something else.
    """
    if column.dtype in (*TEXTS, pl.Date):
        return column.cast(pl.String)
    if column.dtype.is_integer():
        return column
    raise DataError(
        f"Column '{column.name}' (data.{what}) is of type {column.dtype}. Make it text or whole numbers in the source."
    )


def _typed(column: pl.Series, zone: str) -> pl.Series | None:
    """Return the column in its new type, or None when it has it already: casting 5 million rows for nothing costs."""
    kind = column.dtype
    if kind in (pl.Int64, pl.String, pl.Boolean):
        return None
    if kind.is_numeric():
        return _whole(column) if kind.is_integer() else _decimal(column)
    if kind in TEXTS or kind == pl.Null:
        return column.cast(pl.String)
    if kind in (pl.Date, pl.Datetime):
        return _moment(column, zone)
    raise DataError(
        f"Input '{column.name}' is of type {kind}, which no model takes:"
        " make it a number, text, boolean or datetime in the source, or name it in data.exclude."
    )


def _decimal(column: pl.Series) -> pl.Series | None:
    plain = column.cast(pl.Float64) if column.dtype != pl.Float64 else column
    if plain.is_nan().any():
        return plain.fill_nan(None)
    return None if plain is column else plain


def _moment(column: pl.Series, zone: str) -> pl.Series | None:
    if column.dtype == pl.Date:  # a day is no moment: it must not move with a zone
        return column.cast(pl.Datetime("us"))
    return None if column.dtype == pl.Datetime("us") and zone == "UTC" else utc_times(column, zone, what="Input")


def _whole(column: pl.Series) -> pl.Series:
    try:
        return column.cast(pl.Int64)
    except pl.exceptions.InvalidOperationError as fault:
        raise DataError(
            f"Input '{column.name}' holds whole numbers beyond 64 bits. Make it text in the source."
        ) from fault
