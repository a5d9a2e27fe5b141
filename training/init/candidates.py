"""Columns that were named but are not there, or not named at all: which ones are likely meant."""

from difflib import get_close_matches

import polars as pl

from flywheel.errors import UsageError
from training.sources.times import iso_format

FEW = 10
SHOWN = 3


def find_column(frame: pl.DataFrame, name: str | None, option: str) -> str:
    """Return the column that `--label` or `--event-time` names.

    Raises:
        UsageError: It is not there, or was not named; the sentence lists all columns and the likeliest.
    """
    if name is not None and name in frame.columns:
        return name
    likely = _likely(frame, name, option)
    has = ", ".join(frame.columns)
    wrong = (
        f"{option} is missing; the data has: {has}" if name is None else f"{option} '{name}' is not in the data: {has}"
    )
    raise UsageError(f"{wrong}. {'Likely' if likely else 'Name one'}: {option} {' or '.join(likely) or 'COLUMN'}.")


def _likely(frame: pl.DataFrame, name: str | None, option: str) -> list[str]:
    lower = {column.lower(): column for column in frame.columns}
    close = [lower[found] for found in get_close_matches((name or "").lower(), lower, n=SHOWN, cutoff=0.6)]
    fitting = [column.name for column in frame if (_is_time(column) if option == "--event-time" else _is_label(column))]
    if option == "--event-time":
        close = [column for column in close if column in fitting] or close
    return list(dict.fromkeys([*close, *fitting]))[:SHOWN]


def _is_time(column: pl.Series) -> bool:
    if column.dtype in (pl.Date, pl.Datetime):
        return True
    if column.dtype != pl.String:
        return False
    some = column.drop_nulls().head(FEW)
    return len(some) > 0 and all(iso_format(text.strip()) is not None for text in some)


def _is_label(column: pl.Series) -> bool:
    return not _is_time(column) and column.drop_nulls().n_unique() == 2
