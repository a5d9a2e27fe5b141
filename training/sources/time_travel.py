"""Time travel: rows loaded as of an earlier time must have the inputs that they have when loaded later.

Only code can peek: a Python source that computes an input from rows that had not happened yet (a mean over all history,
tomorrow's value), or a join that is not as of its row. What a file holds is the same whenever it is read.
"""

from datetime import datetime
from pathlib import Path

import polars as pl

from flywheel.errors import DataError
from flywheel.usecase import Data
from training.sources.faults import count_rows
from training.sources.rows import input_columns, load_source

ROWS = 200_000
NOISE = 1e-9  # relative; sums over other rows' partitions may differ in their last bits
NUMBER = "__number"
NOW = "__now"
FOUND = "__found"


def may_peek(data: Data) -> bool:
    """Say whether loading a use case's rows involves code or joins, so that the test means something."""
    return data.source.kind == "python" or bool(data.joins)


def check_no_future(rows: pl.DataFrame, data: Data, folder: Path) -> str | None:
    """Load the use case again as of the middle of its rows, and compare the inputs of the rows before that.

    It costs one more read, and nothing for a use case that cannot peek. Of the rows before that time the last 200,000
    are compared: those are the ones that a look ahead changes.

    Args:
        rows: What `load_rows` returned.
        data: What the use case says of its data.
        folder: The use case's; paths are relative to it.

    Returns:
        None, or a warning: the source ignores as_of, so that this test cannot see whether it peeks.

    Raises:
        DataError: An input differs, or a row is gone when loaded later: the source looks into the future.
    """
    times = rows[data.event_time]
    earlier = times[len(times) // 2]
    if not may_peek(data) or earlier == times[0]:
        return None
    loaded = load_source(data, folder, earlier, task=None)
    compare(loaded.rows, rows, data, earlier)
    if data.source.kind == "python" and loaded.beyond:
        return (
            f"Source {data.source.place}: load(as_of) returned {count_rows(loaded.beyond)} at or after as_of"
            f" {earlier.isoformat()}. Leave later rows out before anything is computed, so that no input can see them."
        )
    return None


def compare(then: pl.DataFrame, now: pl.DataFrame, data: Data, earlier: datetime) -> None:
    """Compare the inputs of rows loaded as of `earlier` with those of the same rows loaded later.

    Rows that only the later load has may have come in late, and pass.

    Raises:
        DataError: An input differs, or a row is gone.
    """
    keys = [data.event_time] if data.entity is None else [data.event_time, data.entity]
    inputs = [name for name in input_columns(then, data) if name not in keys]
    start = then[data.event_time][-min(ROWS, then.height)]
    window = pl.col(data.event_time).is_between(start, earlier, closed="left")
    then, now = (_numbered(frame.filter(window), keys, inputs) for frame in (then, now))
    pairs = then.join(
        now.with_columns(pl.lit(True).alias(FOUND)),  # a literal
        on=[*keys, NUMBER],
        how="left",
        suffix=NOW,
        nulls_equal=True,
        maintain_order="left",
    )
    for name in inputs:
        wrong = pairs.filter(pl.col(FOUND) & _differs(name, pairs.schema[name]))
        if not wrong.is_empty():
            row = wrong.row(-1, named=True)
            raise DataError(
                f"Input '{name}' sees the future: in the row of {_name(row, keys)} it is {row[name]!r} as of"
                f" {earlier.isoformat()}, but {row[name + NOW]!r} when loaded later. Compute it from what was known at"
                " each row's event time only."
            )
    gone = pairs.filter(pl.col(FOUND).is_null())
    if not gone.is_empty():
        raise DataError(
            f"The row of {_name(gone.row(-1, named=True), keys)} is there as of {earlier.isoformat()} and gone when"
            f" loaded later, as are {gone.height:,} in all: the source chooses rows by their future. Keep them."
        )


def _numbered(frame: pl.DataFrame, keys: list[str], inputs: list[str]) -> pl.DataFrame:
    """Number the rows of one key, so that rows of one time without an entity find their like; doubles sort last."""
    order = sorted(inputs, key=lambda name: frame.schema[name].is_float())
    return (
        frame.select(*keys, *inputs).sort(*keys, *order).with_columns(pl.int_range(pl.len()).over(keys).alias(NUMBER))
    )


def _differs(name: str, kind: pl.DataType) -> pl.Expr:
    then, now = pl.col(name), pl.col(name + NOW)
    differs = then.ne_missing(now)
    if kind.is_float():
        differs &= ((then - now).abs() > NOISE * (then.abs() + now.abs())).fill_null(True)  # a literal
    return differs


def _name(row: dict[str, object], keys: list[str]) -> str:
    return ", ".join(f"{key} {row[key]}" for key in reversed(keys))
