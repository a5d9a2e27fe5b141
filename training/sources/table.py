"""One table of raw rows: the source's kind picks its reader."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import polars as pl

from flywheel.errors import DataError
from flywheel.usecase import Source
from training.sources.csv_files import read_csv
from training.sources.database import read_query
from training.sources.delta_table import read_delta
from training.sources.faults import first_line
from training.sources.origin import Table
from training.sources.parquet_files import read_parquet
from training.sources.python_file import call_python


def read_table(source: Source, folder: Path, as_of: datetime, leave: Collection[str] = ()) -> Table:
    """Read a source as it is.

    Args:
        source: What the use case says of it.
        folder: The use case's; paths are relative to it.
        as_of: Naive UTC; only Python sources are told.
        leave: Columns that nobody needs. Readers that can do so do not read them; they may still be there.

    Raises:
        DataError: The source cannot be read, is not what it is said to be, or has no rows.
        TransientError: It went away meanwhile, or does not answer.
    """
    try:
        table = _read(source, folder, as_of, leave)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as fault:
        raise DataError(
            f"Source {source.place} cannot be read as {source.kind}: {first_line(fault)}. Correct kind or file."
        ) from fault
    if table.frame.is_empty():
        raise DataError(f"Source {table.origin.place} has no rows. Give it some.")
    return table


def _read(source: Source, folder: Path, as_of: datetime, leave: Collection[str]) -> Table:
    path = source.path
    if path is None:  # the use case has made sure of both others
        return read_query(source.database or "", source.query or "", folder)
    if source.kind == "python":
        return call_python(path, folder, as_of)
    if source.kind == "csv":
        return read_csv(path, folder)
    return read_delta(path, folder, leave) if source.kind == "delta" else read_parquet(path, folder, leave)
