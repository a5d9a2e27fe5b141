"""Reading only what was appended to a table since some commit, wherever compaction has put it meanwhile.

Each append stamps its rows with a number that rises from append to append (see `flywheel.storage`). Unlike a version of
Delta it stays with the rows, which may be merged into other files while old versions are removed. Files and row groups
whose statistics say that they hold nothing newer are not read.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

COMMIT = "commit"
# All that a damaged file has raised. Polars panics over one that is shorter than it says, which is no Exception.
FAULTS = (OSError, pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException)
Unreadable = Callable[[Path, str], None]


def newest(table: DeltaTable, folder: Path) -> int:
    """Return the number of the last append, 0 before any was numbered."""
    return max((_newest_in(folder / name, known) for name, known in _files(table)), default=0)


def rows_after(
    table: DeltaTable,
    folder: Path,
    after: int,
    columns: Sequence[str],
    *,
    until: int | None = None,
    unreadable: Unreadable | None = None,
    file: str | None = None,
) -> list[pl.DataFrame]:
    """Return the rows of appends `after` < number <= `until`: a frame a file, in no order.

    Args:
        table: As it is now.
        folder: Where its files lie.
        after: The last append that is known already.
        columns: What to read, `commit` beside them; a file's frame lacks those that it has not.
        until: The last append to read; None: all there are.
        file: The name of the only file to read; None: all of them.
        unreadable: Told of a file that cannot be read, and why; the others are read. None: its fault is raised.
    """
    found = []
    for name, known in _files(table):
        if (known is not None and known <= after) or file not in (None, (folder / name).name):
            continue
        try:
            found += _rows_of(folder / name, after, [COMMIT, *columns], until)
        except FAULTS as fault:
            if unreadable is None:
                raise
            unreadable(folder / name, first_line(fault))
    return found


def first_line(fault: BaseException) -> str:
    """Return the first line of what a fault says, without its full stop."""
    return str(fault).split("\n", maxsplit=1)[0].rstrip(".")


def _files(table: DeltaTable) -> list[tuple[str, int | None]]:
    """Return the table's files with the number of the last append in each; None where the table does not say."""
    actions = pl.DataFrame(table.get_add_actions(flatten=True))  # a table of Arrow's would import pandas: half a second
    key = f"max.{COMMIT}"
    known = actions[key].to_list() if key in actions.columns else [None] * actions.height
    return list(zip(map(unquote, actions["path"].to_list()), known, strict=True))


def _newest_in(path: Path, known: int | None) -> int:
    if known is not None:
        return known
    with pq.ParquetFile(path, memory_map=True) as file:
        if COMMIT not in file.schema_arrow.names:
            return 0
        return int(pc.max(file.read(columns=[COMMIT])[COMMIT]).as_py() or 0)


def _rows_of(path: Path, after: int, columns: Sequence[str], until: int | None) -> list[pl.DataFrame]:
    with pq.ParquetFile(path, memory_map=True) as file:
        there = set(file.schema_arrow.names)
        if COMMIT not in there:  # written before appends were numbered
            return []
        groups = [number for number in range(file.num_row_groups) if _may_be_newer(file, number, after)]
        if not groups:
            return []
        rows = file.read_row_groups(groups, columns=[name for name in columns if name in there], use_threads=False)
    # Not by Arrow: an expiry leaves files whose texts are views, which its filter does not know.
    frame = pl.DataFrame(rows).filter(pl.col(COMMIT) > after)
    frame = frame if until is None else frame.filter(pl.col(COMMIT) <= until)
    return [frame] if frame.height else []


def _may_be_newer(file: pq.ParquetFile, group: int, after: int) -> bool:
    leaf = next(place for place in range(len(file.schema.names)) if file.schema.column(place).path == COMMIT)
    known = file.metadata.row_group(group).column(leaf).statistics
    return known is None or not known.has_min_max or known.max > after
