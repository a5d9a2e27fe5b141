"""A series of blocks in one file: what training puts into a package, and monitoring keeps of a version.

One line of text, `flywheel-blocks VERSION sha256:DIGEST`, and then the compressed content: its digest is checked before
anything of it is read, so damage is told and never taken for data.
"""

import bz2
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from flywheel.errors import IntegrityError
from flywheel.profiling.block import Block
from flywheel.profiling.categories import Categories, read_distinct
from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.quantiles import Quantiles
from flywheel.profiling.scale import ColumnScale, Scale
from flywheel.profiling.scores import CategoryScores, NumberScores, Together
from flywheel.profiling.series import Series

FORMAT = "flywheel-blocks"
VERSION = 1
DENSE = b"BZh"  # what bzip2 begins with
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


def series_bytes(series: Series, *, dense: bool = False) -> bytes:
    """Return a file's content; `dense` takes ten times as long and makes those without sketches smaller by a third."""
    head = orjson.dumps(
        {
            "every": series.every.total_seconds(),
            "scale": [asdict(column) for column in series.scale.columns],
            "apart": series.scale.apart,
            "types": {name: column.type for block in series.blocks for name, column in block.columns.items()},
        }
    )
    blocks = pl.DataFrame([_block_row(block) for block in series.blocks], schema=BLOCKS, orient="row")
    columns = pl.DataFrame(list(_column_rows(series)), schema=COLUMNS, orient="row")
    pieces = b"".join(_piece(part) for part in (head, _ipc(blocks), _ipc(columns)))
    body = bz2.compress(pieces) if dense else zlib.compress(pieces, level=1)
    return f"{FORMAT} {VERSION} sha256:{hashlib.sha256(body).hexdigest()}\n".encode() + body


def read_series(path: Path) -> Series:
    """Read a file.

    Raises:
        IntegrityError: It is missing, damaged, of another kind, or of a later release.
    """
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise IntegrityError(f"Profile {path} cannot be read: {fault.strerror}. Make it again.") from fault
    return series_from(content, str(path))


def series_from(content: bytes, source: str) -> Series:
    """Read what `series_bytes` returned; messages call it `source`.

    Raises:
        IntegrityError: It is damaged, of another kind, or of a later release.
    """
    line, _, body = content.partition(b"\n")
    words = line.split(b" ")
    if len(words) != 3 or words[0] != FORMAT.encode():
        raise IntegrityError(f"Profile {source} is none: it does not begin with '{FORMAT}'. Name a file of blocks.")
    if words[1] != str(VERSION).encode():
        kind = words[1].decode(errors="replace")
        raise IntegrityError(f"Profile {source} is of format {kind}, not {VERSION}. Read it with a later Flywheel.")
    if words[2] != f"sha256:{hashlib.sha256(body).hexdigest()}".encode():
        raise IntegrityError(f"Profile {source} is damaged: its digest does not match. Restore it, or make it again.")
    head, blocks, columns = _pieces(bz2.decompress(body) if body.startswith(DENSE) else zlib.decompress(body))
    return _series(orjson.loads(head), pl.read_ipc(io.BytesIO(blocks)), pl.read_ipc(io.BytesIO(columns)))


def _piece(content: bytes) -> bytes:
    return len(content).to_bytes(8, "little") + content


def _pieces(content: bytes) -> Iterator[bytes]:
    while content:
        size = int.from_bytes(content[:8], "little")
        yield content[8 : 8 + size]
        content = content[8 + size :]


def _ipc(frame: pl.DataFrame) -> bytes:
    into = io.BytesIO()
    frame.write_ipc(into)
    return into.getvalue()


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


def _series(head: Mapping[str, Any], blocks: pl.DataFrame, columns: pl.DataFrame) -> Series:
    scale = Scale(tuple(_column_scale(column) for column in head["scale"]), tuple(head["apart"]))
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in columns.iter_rows(named=True):
        rows.setdefault(row["block"], []).append(row)
    made = [_block(row, rows.get(number, []), head["types"], scale) for number, row in enumerate(_rows(blocks))]
    whole = {part["name"]: _sketch(part, head["types"]) for part in rows.get(WHOLE, [])}
    return Series(scale, timedelta(seconds=head["every"]), tuple(made), whole)


def _rows(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    return frame.iter_rows(named=True)


def _column_scale(column: Mapping[str, Any]) -> ColumnScale:
    return ColumnScale(column["name"], column["type"], tuple(column["quantiles"]), tuple(column["vocabulary"]))


def _block(row: Mapping[str, Any], columns: list[dict[str, Any]], types: Mapping[str, Any], scale: Scale) -> Block:
    start, end = row["start"], row["end"]
    assert isinstance(start, datetime)  # noqa: S101  # the schema says so
    return Block(
        start=start,
        end=end,
        rows=row["rows"],
        columns={part["name"]: _sketch(part, types) for part in columns if part["rows"] is not None},
        numbers={part["name"]: NumberScores(_counts(part["places"])) for part in columns if part["places"] is not None},
        categories={
            part["name"]: CategoryScores(_counts(part["vocabulary"]), part["other"])
            for part in columns
            if part["vocabulary"] is not None
        },
        together=None if row["sums"] is None else _together(row, scale.paired),
    )


def _sketch(part: Mapping[str, Any], types: Mapping[str, Any]) -> ColumnSketch:
    categories = None
    if part["values"] is not None:
        counts = dict(zip(part["values"], part["seen"], strict=True))
        categories = Categories(counts, part["error"], read_distinct(part["distinct"]), part["known"])
    numbers = None if part["quantiles"] is None else Quantiles.from_bytes(part["quantiles"])
    name = part["name"]
    return ColumnSketch(name, types[name], part["rows"], part["missing"], part["unfit"], numbers, categories)


def _together(row: Mapping[str, Any], names: tuple[str, ...]) -> Together:
    upper = np.zeros((len(names), len(names)), dtype=np.int64)
    upper[np.triu_indices(len(names))] = row["products"]
    return Together(names, row["paired"], _counts(row["sums"]), upper + np.triu(upper, 1).T)


def _counts(values: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(values, dtype=np.int64)
