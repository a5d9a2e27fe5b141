"""The digest of a frame: which data a version was trained on, told by its values alone.

SHA-256 of each column in threads (hashlib lets go of the interpreter's lock), then of the columns' digests in the order
of the schema. Only values count: how a frame was sliced, chunked or filtered into being does not.
"""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl

from flywheel.errors import DataError

# Values at a time: half a megabyte of doubles, which stays in a core's cache between Polars, numpy and the hash.
STEP = 65_536


@dataclass(frozen=True)
class Fingerprint:
    """The digest of a frame with what it is made of: rows, and the digest of each column in the frame's order."""

    digest: str
    rows: int
    columns: Mapping[str, str]


def frame_digest(frame: pl.DataFrame) -> str:
    """Return the digest of `fingerprint` alone."""
    return fingerprint(frame).digest


def fingerprint(frame: pl.DataFrame) -> Fingerprint:
    """Return `sha256:…` over names, types and every row of a frame, in its order.

    Missing values are all alike, and so are NaNs and both zeros; a missing value differs from NaN and from "". MLflow's
    own digest of a data set reads its first 10,000 rows only.

    Raises:
        DataError: A column holds lists, structs or objects.
    """
    for name, kind in frame.schema.items():
        if kind.is_nested() or kind in (pl.Object, pl.Unknown):
            raise DataError(f"Column '{name}' holds {kind}, which has no digest. Make it numbers, text or times.")
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        digests = list(threads.map(_column, frame.iter_columns()))
    columns = dict(zip(frame.columns, digests, strict=True))
    total = hashlib.sha256(f"{frame.height}\n".encode())
    for name, digest in columns.items():
        total.update(f"{len(name.encode())} {name} {digest}\n".encode())
    return Fingerprint(f"sha256:{total.hexdigest()}", frame.height, columns)


def _column(column: pl.Series) -> str:
    gaps, lengths, values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    for start in range(0, len(column), STEP):
        part = column.slice(start, STEP)
        if column.null_count():
            gaps.update(part.is_null().cast(pl.UInt8).to_numpy().data)
        if column.dtype.is_numeric() and not column.dtype.is_decimal():
            values.update(_numbers(part.fill_null(0)))
        elif column.dtype.is_temporal():
            values.update(part.to_physical().fill_null(0).to_numpy().data)
        elif column.dtype == pl.Boolean:
            values.update(part.fill_null(False).cast(pl.UInt8).to_numpy().data)
        else:
            sizes, content = _text(part)
            lengths.update(sizes)
            values.update(content)
    whole = gaps.digest() + lengths.digest() + values.digest() + _kind(column).encode()
    return f"sha256:{hashlib.sha256(whole).hexdigest()}"


def _kind(column: pl.Series) -> str:
    """Name the type; the order in which a categorical met its values is no part of it."""
    return column.dtype.base_type().__name__ if column.dtype in (pl.Categorical, pl.Enum) else str(column.dtype)


def _numbers(part: pl.Series) -> memoryview:
    numbers = part.to_numpy()
    if numbers.dtype.kind == "f":
        numbers = numbers + 0.0  # -0.0 equals 0.0, but has other bits
        unknown = np.isnan(numbers)
        if unknown.any():
            numbers[unknown] = np.nan  # so do NaNs that came about differently
    return np.ascontiguousarray(numbers).data


def _text(part: pl.Series) -> tuple[memoryview, memoryview]:
    """Return the length of each value, and the values one after the other, from Arrow's buffers."""
    text = part if part.dtype == pl.Binary else part.cast(pl.String)
    array = text.fill_null(b"" if part.dtype == pl.Binary else "").to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, content = array.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return np.diff(ends).data, memoryview(content)[ends[0] : ends[-1]]
