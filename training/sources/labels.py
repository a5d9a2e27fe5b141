"""The label, by task: 0 and 1, classes as text, or finite numbers; null while unknown."""

import polars as pl

from flywheel.errors import DataError
from flywheel.usecase import Label, Task
from training.sources.faults import count_rows, name_rows

SHOWN_VALUES = 5


def typed_label(column: pl.Series, label: Label, task: Task, entity: pl.Series | None = None) -> pl.Series:
    """Return the label as Int8 (binary), String (multiclass) or Float64 (regression).

    Raises:
        DataError: It holds something else; the rows are named.
    """
    if column.dtype.is_float() and column.is_nan().any():
        column = column.fill_nan(None)
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.Null:
        raise DataError(f"Label '{column.name}' has no value in any row. Correct data.label.column or the source.")
    if task == "binary":
        return _binary(column, label, entity)
    return _classes(column, entity) if task == "multiclass" else _numbers(column, entity)


def check_missing(column: pl.Series, known: pl.Series, label: Label, entity: pl.Series | None = None) -> None:
    """Check how many labels are missing although they should be known by now.

    Args:
        column: The label, (n_rows,).
        known: Whether each row's label should be known, (n_rows,).
        label: Says how many may be missing.
        entity: Names rows in messages.

    Raises:
        DataError: More are.
    """
    missing = column.is_null() & known
    rows, should = int(missing.sum()), int(known.sum())
    if should and rows / should > label.max_missing:
        raise DataError(
            f"Label '{column.name}' is missing in {count_rows(rows)} of {should:,} whose label should be known"
            f" ({rows / should:.1%}; data.label.max_missing is {label.max_missing:.1%}):"
            f" {name_rows(missing, None, entity)}. Correct the source, data.label.available_after or max_missing."
        )


def _binary(column: pl.Series, label: Label, entity: pl.Series | None) -> pl.Series:
    if label.positive is not None:
        return _is_positive(column, label.positive)
    if column.dtype == pl.Boolean:
        return column.cast(pl.Int8)
    if not column.dtype.is_numeric():
        raise DataError(
            f"Label '{column.name}' is of type {column.dtype} and holds {_values(column)}."
            " Name the value that counts as 1 in data.label.positive, or make it 0, 1 or null."
        )
    other = ((column != 0) & (column != 1)).fill_null(False)
    if other.any():
        raise DataError(
            f"Label '{column.name}' holds values other than 0 and 1: {name_rows(other, column, entity)}."
            " Name the value that counts as 1 in data.label.positive, or choose another task."
        )
    return column.cast(pl.Int8)


def _is_positive(column: pl.Series, positive: str | int | bool) -> pl.Series:
    kind = column.dtype
    suits = (
        isinstance(positive, bool)
        if kind == pl.Boolean
        else isinstance(positive, str)
        if kind == pl.String
        else kind.is_numeric() and not isinstance(positive, str)
    )
    hit = column == positive if suits else None
    if column.null_count() == len(column):
        raise DataError(f"Label '{column.name}' has no value in any row. Correct the source or data.label.column.")
    if hit is None or not hit.any():
        quotes = " Quote it: YAML reads yes, no, on and off as booleans." if kind == pl.String and not suits else ""
        raise DataError(
            f"data.label.positive {positive!r} is no value of label '{column.name}', which holds {_values(column)}."
            f"{quotes or ' Correct it.'}"
        )
    return hit.cast(pl.Int8)


def _classes(column: pl.Series, entity: pl.Series | None) -> pl.Series:
    kind = column.dtype
    if kind.is_float():
        part = (column != column.round(0)).fill_null(False) | column.is_infinite().fill_null(False)
        if part.any():
            raise DataError(
                f"Label '{column.name}' holds numbers that name no class: {name_rows(part, column, entity)}."
                " Make classes text or whole numbers, or choose task regression."
            )
        column = column.cast(pl.Int64)
    elif not (kind in (pl.String, pl.Boolean) or kind.is_integer()):
        raise DataError(f"Label '{column.name}' is of type {kind}. Make classes text or whole numbers.")
    return column.cast(pl.String)


def _numbers(column: pl.Series, entity: pl.Series | None) -> pl.Series:
    if not column.dtype.is_numeric():
        raise DataError(
            f"Label '{column.name}' is of type {column.dtype} and holds {_values(column)}."
            " Make it a number, or choose task binary or multiclass."
        )
    column = column.cast(pl.Float64)
    infinite = column.is_infinite().fill_null(False)
    if infinite.any():
        raise DataError(
            f"Label '{column.name}' is infinite: {name_rows(infinite, column, entity)}. Make it finite or missing."
        )
    return column


def _values(column: pl.Series) -> str:
    found = column.drop_nulls().unique(maintain_order=True).head(SHOWN_VALUES + 1).to_list()
    return ", ".join(repr(value) for value in found[:SHOWN_VALUES]) + (", …" if len(found) > SHOWN_VALUES else "")
