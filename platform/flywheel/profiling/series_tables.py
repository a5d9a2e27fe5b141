"""A series of blocks as two tables, one row a block and one row a column of a block; and back."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from flywheel.profiling.block import Block
from flywheel.profiling.categories import Categories, read_distinct
from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.quantiles import Quantiles
from flywheel.profiling.scores import CategoryScores, NumberScores, Together
from flywheel.profiling.series import Series

WHOLE = -1  # instead of a block's number
COUNTS = pl.List(pl.Int64)
COLUMNS = pl.Schema(
    {
        "block": pl.Int32(),
        "name": pl.String(),
        "rows": pl.Int64(),
        "missing": pl.Int64(),
        "unfit": pl.Int64(),
        "quantiles": pl.Binary(),
        "values": pl.List(pl.String),
        "seen": COUNTS,
        "error": pl.Int64(),
        "distinct": pl.Binary(),
        "known": pl.Int64(),
        "places": COUNTS,
        "vocabulary": COUNTS,
        "other": pl.Int64(),
    }
)
BLOCKS = pl.Schema(
    {
        "start": pl.Datetime("us"),
        "end": pl.Datetime("us"),
        "rows": pl.Int64(),
        "paired": pl.Int64(),
        "sums": COUNTS,
        "products": COUNTS,
    }
)
Row = dict[str, Any]


def block_table(series: Series) -> pl.DataFrame:
    """Return one row a block."""
    return pl.DataFrame([_block_row(block) for block in series.blocks], schema=BLOCKS, orient="row")


def column_table(series: Series) -> pl.DataFrame:
    """Return one row a column of a block, and one a column of the whole."""
    return pl.DataFrame(list(_column_rows(series)), schema=COLUMNS, orient="row")


def from_tables(series: Series, blocks: pl.DataFrame, columns: pl.DataFrame, types: Mapping[str, Any]) -> Series:
    """Return a series with what the tables hold.

    Args:
        series: Its scale and its blocks' length; it has no blocks.
        blocks: See `block_table`.
        columns: See `column_table`.
        types: Of columns, by name.
    """
    rows: dict[int, list[Row]] = {}
    for row in columns.iter_rows(named=True):
        rows.setdefault(row["block"], []).append(row)
    paired = series.scale.paired
    made = (_block(row, rows.get(number, []), types, paired) for number, row in enumerate(blocks.iter_rows(named=True)))
    whole = {part["name"]: _sketch(part, types) for part in rows.get(WHOLE, [])}
    return Series(series.scale, series.every, tuple(made), whole)


def _block_row(block: Block) -> tuple[Any, ...]:
    together = block.together
    if together is None:
        return block.start, block.end, block.rows, None, None, None
    upper = together.products[np.triu_indices(len(together.names))]
    return block.start, block.end, block.rows, together.rows, together.sums.tolist(), upper.tolist()


def _column_rows(series: Series) -> Iterator[tuple[Any, ...]]:
    for number, block in enumerate(series.blocks):
        names = dict.fromkeys([*block.columns, *block.numbers, *block.categories])
        for name in names:
            yield number, name, *_sketch_row(block.columns.get(name)), *_score_row(block, name)
    for name, column in series.whole.items():
        yield WHOLE, name, *_sketch_row(column), None, None, None


def _sketch_row(column: ColumnSketch | None) -> tuple[Any, ...]:
    if column is None:
        return (None,) * 9
    quantiles = column.numbers.to_bytes() if column.numbers else None
    head = column.rows, column.missing, column.unfit, quantiles
    named = column.categories
    if named is None:
        return *head, None, None, None, None, None
    return *head, list(named.counts), list(named.counts.values()), named.error, named.distinct_bytes(), named.known


def _score_row(block: Block, name: str) -> tuple[Any, ...]:
    number, category = block.numbers.get(name), block.categories.get(name)
    places = number.counts.tolist() if number else None
    return (places, category.counts.tolist(), category.other) if category else (places, None, None)


def _block(row: Row, columns: list[Row], types: Mapping[str, Any], paired: tuple[str, ...]) -> Block:
    return Block(
        start=row["start"],
        end=row["end"],
        rows=row["rows"],
        columns={part["name"]: _sketch(part, types) for part in columns if part["rows"] is not None},
        numbers={part["name"]: NumberScores(_counts(part["places"])) for part in columns if part["places"] is not None},
        categories={
            part["name"]: CategoryScores(_counts(part["vocabulary"]), part["other"])
            for part in columns
            if part["vocabulary"] is not None
        },
        together=None if row["sums"] is None else _together(row, paired),
    )


def _sketch(part: Row, types: Mapping[str, Any]) -> ColumnSketch:
    categories = None
    if part["values"] is not None:
        counts = dict(zip(part["values"], part["seen"], strict=True))
        categories = Categories(counts, part["error"], read_distinct(part["distinct"]), part["known"])
    numbers = None if part["quantiles"] is None else Quantiles.from_bytes(part["quantiles"])
    name = part["name"]
    return ColumnSketch(name, types[name], part["rows"], part["missing"], part["unfit"], numbers, categories)


def _together(row: Row, names: tuple[str, ...]) -> Together:
    upper = np.zeros((len(names), len(names)), dtype=np.int64)
    upper[np.triu_indices(len(names))] = row["products"]
    return Together(names, row["paired"], _counts(row["sums"]), upper + np.triu(upper, 1).T)


def _counts(values: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(values, dtype=np.int64)
