"""Outcomes as people and systems report them, checked into the one form that the log keeps."""

import polars as pl

from flywheel.errors import DataError
from flywheel.records import OUTCOMES
from flywheel.time_text import times_of

REQUIRED = ("entity", "outcome", "event_time", "time_known")
OPTIONAL = ("prediction_id", "source")


def check_outcomes(frame: pl.DataFrame, source: str, *, classes: bool = False) -> pl.DataFrame:
    """Return outcome records (n_rows) from columns entity, outcome, event_time and time_known.

    An outcome is a number (0 or 1 for two classes); with `classes` it is the name of a class, and becomes `label`.

    Times may be datetimes or ISO 8601 text; with an offset they are converted to UTC. A column prediction_id may name
    the prediction itself. `source` says where the rows come from, unless they do.

    Raises:
        DataError: A column is missing, unknown or of the wrong type, or a row says something impossible.
    """
    if missing := [name for name in REQUIRED if name not in frame.columns]:
        raise DataError(f"Outcomes {source}: column '{missing[0]}' is missing. It needs {', '.join(REQUIRED)}.")
    if unknown := [name for name in frame.columns if name not in REQUIRED + OPTIONAL]:
        raise DataError(f"Outcomes {source}: column '{unknown[0]}' is not known. Remove it or correct its spelling.")
    checked = frame.select(
        prediction_id=_text(frame, "prediction_id", source)
        if "prediction_id" in frame.columns
        else pl.lit(None, pl.String),
        entity=_text(frame, "entity", source),
        outcome=pl.lit(None, pl.Float64) if classes else _number(frame, source),
        label=_class(frame, source) if classes else pl.lit(None, pl.String),
        event_time=_time(frame, "event_time", source),
        time_known=_time(frame, "time_known", source),
        source=_text(frame, "source", source) if "source" in frame.columns else pl.lit(source),
    )
    keyless = pl.col("entity").is_null() & pl.col("prediction_id").is_null()
    _refuse(checked, keyless, source, "has no entity", "Say whose outcome it is")
    _refuse(
        checked, pl.col("time_known") < pl.col("event_time"), source, "is known before its event", "Correct its times"
    )
    return checked.select(OUTCOMES.names)


def _text(frame: pl.DataFrame, name: str, source: str) -> pl.Series:
    column = frame[name]
    if column.dtype != pl.String and not column.dtype.is_integer() and column.dtype != pl.Null:
        raise DataError(
            f"Outcomes {source}: column '{name}' must be text or whole numbers, not {column.dtype}. Convert it."
        )
    return column.cast(pl.String)


def _number(frame: pl.DataFrame, source: str) -> pl.Series:
    column = frame["outcome"]
    if not column.dtype.is_numeric() and column.dtype != pl.Boolean:
        raise DataError(f"Outcomes {source}: column 'outcome' must be numbers, not {column.dtype}. Convert it.")
    numbers = column.cast(pl.Float64)
    finite = numbers.is_finite().fill_null(value=False)
    _refuse(frame, ~finite, source, "has no finite outcome", "Leave rows out whose outcome is not known")
    return numbers


def _class(frame: pl.DataFrame, source: str) -> pl.Series:
    names = _text(frame, "outcome", source)
    unnamed = names.is_null() | (names.str.strip_chars() == "")
    _refuse(frame, unnamed.fill_null(value=True), source, "names no class", "Leave rows out whose class is not known")
    return names


def _time(frame: pl.DataFrame, name: str, source: str) -> pl.Series:
    column = frame[name]
    if column.dtype == pl.String:
        column = _parse_times(column)
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if not isinstance(column.dtype, pl.Datetime):
        raise DataError(
            f"Outcomes {source}: column '{name}' must be times, not {column.dtype}. Write them in ISO 8601."
        )
    _refuse(frame, column.is_null(), source, f"has no {name} in ISO 8601", "Write it like 2013-01-31T10:00:00Z")
    return column.cast(pl.Datetime("us"))


def _parse_times(column: pl.Series) -> pl.Series:
    """Read ISO 8601 text, with and without offsets; null where it is none."""
    text = column.str.strip_chars()
    has_offset = text.str.contains(r"(Z|[+-]\d\d:?\d\d)$") & text.str.contains(r"\d[T ]\d")
    zoned = text.str.replace(r"Z$", "+00:00").str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    plain = times_of(text) if not has_offset.all() else zoned.dt.replace_time_zone(None)
    return zoned.dt.replace_time_zone(None).zip_with(has_offset.fill_null(value=False), plain)


def _refuse(frame: pl.DataFrame, wrong: pl.Expr | pl.Series, source: str, what: str, remedy: str) -> None:
    rows = frame.select(wrong.alias("wrong"))["wrong"].arg_true()
    if rows.len():
        raise DataError(f"Outcomes {source}: row {rows[0] + 1} {what} ({rows.len()} such rows). {remedy}.")
