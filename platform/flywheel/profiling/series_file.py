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
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from polars.exceptions import PanicException, PolarsError

from flywheel.errors import IntegrityError
from flywheel.profiling.scale import ColumnScale, Scale
from flywheel.profiling.series import Series
from flywheel.profiling.series_tables import block_table, column_table, from_tables

FORMAT = "flywheel-blocks"
VERSION = 1
DENSE = b"BZh"  # what bzip2 begins with
# What content that is no series, though its digest is right, has raised.
FAULTS = (ValueError, LookupError, TypeError, OSError, EOFError, zlib.error, PolarsError, PanicException)


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
    pieces = b"".join(_piece(part) for part in (head, _ipc(block_table(series)), _ipc(column_table(series))))
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
    try:
        return _read(bz2.decompress(body) if body.startswith(DENSE) else zlib.decompress(body))
    except FAULTS as fault:
        raise IntegrityError(f"Profile {source} is none: {fault}. Name a file that Flywheel has written.") from fault


def _read(pieces: bytes) -> Series:
    head, blocks, columns = _pieces(pieces)
    said = orjson.loads(head)
    scale = Scale(tuple(_column_scale(column) for column in said["scale"]), tuple(said["apart"]))
    empty = Series(scale, timedelta(seconds=said["every"]))
    return from_tables(empty, pl.read_ipc(io.BytesIO(blocks)), pl.read_ipc(io.BytesIO(columns)), said["types"])


def _column_scale(column: Mapping[str, Any]) -> ColumnScale:
    return ColumnScale(column["name"], column["type"], tuple(column["quantiles"]), tuple(column["vocabulary"]))


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
