"""Raw rows as they were known at a time: in comes a use case and its folder, out goes a checked Polars frame.

The frame holds the event time (naive UTC, microseconds), the raw inputs, the label (Int8; null while unknown), and the
entity and subject when the use case names them.
"""

from datetime import datetime
from pathlib import Path

import polars as pl

from flywheel.errors import DataError
from flywheel.modules import load_module
from flywheel.usecase import Data

TIME = pl.Datetime("us")


def load_rows(data: Data, folder: Path, as_of: datetime) -> pl.DataFrame:
    """Read the source and cut it: what had not happened by `as_of` is gone, what was not known is null.

    Args:
        data: What the use case says of its data.
        folder: The use case's folder; the source's path is relative to it.
        as_of: Naive UTC. Rows at or after it are dropped; a label is kept iff event time + available_after <= as_of.

    Returns:
        n_rows by (entity, event time, inputs, label, subject), sorted by event time.

    Raises:
        DataError: The source cannot be read, or lacks a column, or a column is of a type that no model takes.
    """
    rows = _typed(_read(data, folder, as_of), data)
    time, label = pl.col(data.event_time), pl.col(data.label.column)
    known = time + data.label.available_after <= as_of
    rows = rows.filter(time < as_of).with_columns(pl.when(known).then(label)).sort(data.event_time, maintain_order=True)
    if rows.is_empty():
        raise DataError(
            f"Source {folder / data.source.path} has no row before {as_of.isoformat()}. Choose a later as_of."
        )
    return rows


def input_columns(rows: pl.DataFrame, data: Data) -> list[str]:
    """Name what a request carries: the event time first, then the raw inputs."""
    apart = {data.event_time, data.label.column, data.entity, data.subject}
    return [data.event_time, *(name for name in rows.columns if name not in apart)]


def _read(data: Data, folder: Path, as_of: datetime) -> pl.DataFrame:
    path = folder / data.source.path
    if not path.exists():
        raise DataError(f"Source {path} does not exist. Correct data.source.path in usecase.yaml.")
    if data.source.kind == "python":
        return _call(path, as_of)
    try:
        return (
            pl.read_parquet(path)
            if data.source.kind == "parquet"
            else pl.read_csv(path, null_values=["", "NA"], infer_schema_length=None)
        )
    except (pl.exceptions.PolarsError, OSError) as fault:
        raise DataError(
            f"Source {path} cannot be read as {data.source.kind}: {_first_line(fault)}. Correct kind or file."
        ) from fault


def _call(path: Path, as_of: datetime) -> pl.DataFrame:
    load = getattr(load_module(path, "source"), "load", None)
    if not callable(load):
        raise DataError(f"Source {path} has no function load(as_of). Add one that returns a Polars frame.")
    try:
        rows = load(as_of)
    except Exception as fault:  # the user's own code: whatever it raises is a fault of the source
        raise DataError(
            f"Source {path}: load(as_of) raised {type(fault).__name__}: {_first_line(fault)}. Correct it."
        ) from fault
    if not isinstance(rows, pl.DataFrame):
        raise DataError(f"Source {path}: load(as_of) returned {type(rows).__name__}. Return a Polars DataFrame.")
    return rows


def _typed(rows: pl.DataFrame, data: Data) -> pl.DataFrame:
    for what, name in [
        ("event_time", data.event_time),
        ("label", data.label.column),
        ("entity", data.entity),
        ("subject", data.subject),
    ]:
        if name is not None and name not in rows.columns:
            has = ", ".join(rows.columns)
            raise DataError(
                f"Column '{name}' (data.{what}) is not in the source, which has: {has}. Correct usecase.yaml."
            )
    rows = rows.with_columns(_time(rows[data.event_time]), _label(rows[data.label.column]))
    if len(input_columns(rows, data)) < 2:
        raise DataError("The source has no input column beside event time, label, entity and subject. Add one.")
    return rows.with_columns(_plain(rows[name]) for name in input_columns(rows, data))


def _time(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        try:
            column = column.str.to_datetime(time_unit="us", time_zone="UTC")
        except pl.exceptions.PolarsError as fault:
            raise DataError(
                f"Event time '{column.name}' is text that is no ISO 8601 time. Correct the source."
            ) from fault
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if not column.dtype.is_temporal() or column.dtype in (pl.Time, pl.Duration):
        raise DataError(f"Event time '{column.name}' is of type {column.dtype}. Make it a datetime in UTC.")
    if column.null_count():
        raise DataError(
            f"Event time '{column.name}' is missing in {column.null_count()} rows. Drop those rows in the source."
        )
    return column.cast(TIME)


def _label(column: pl.Series) -> pl.Series:
    if column.dtype != pl.Boolean and not column.dtype.is_numeric():
        raise DataError(f"Label '{column.name}' is of type {column.dtype}. Make it 0, 1 or null.")
    if column.dtype != pl.Boolean and not column.drop_nulls().is_in([0, 1]).all():
        raise DataError(f"Label '{column.name}' holds values other than 0 and 1. Correct the source.")
    return column.cast(pl.Int8)


def _plain(column: pl.Series) -> pl.Series:
    """Bring an input to one of the types of a contract: Int64, Float64, String, Boolean, Datetime.

    Whole numbers with missing values become doubles: a request's JSON cannot carry a missing long through MLflow.
    """
    kind = column.dtype
    if kind.is_integer():
        return column.cast(pl.Float64 if column.null_count() else pl.Int64)
    if kind.is_numeric():
        return column.cast(pl.Float64)
    if kind == pl.Boolean and not column.null_count():
        return column
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if kind in (pl.Date, pl.Datetime):
        return _time(column)
    advice = (
        "fill its missing values or make it text"
        if kind == pl.Boolean
        else "make it a number, text, boolean or datetime"
    )
    raise DataError(f"Input '{column.name}' is of type {kind}, which no model takes: {advice} in the source.")


def _first_line(fault: Exception) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0].rstrip(".")
