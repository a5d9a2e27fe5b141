"""As-of joins: beside each row, the latest row of another table that was known at the event time.

A row of the left table never goes away: without a partner it has nulls, also when its only partner lies in its future.
"""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from flywheel.errors import DataError
from flywheel.usecase import Data, Join
from training.sources.inputs import TEXTS, typed_inputs
from training.sources.origin import Origin
from training.sources.table import read_table
from training.sources.times import utc_times

KNOWN = "__known_at"  # a column of the joined table while it is joined


def join_tables(rows: pl.DataFrame, data: Data, folder: Path, as_of: datetime) -> tuple[pl.DataFrame, list[Origin]]:
    """Put the columns of all joins beside the rows.

    Args:
        rows: Sorted by event time (naive UTC).
        data: Names event time and joins.
        folder: The use case's; paths are relative to it.
        as_of: Naive UTC; nothing known later is joined.

    Returns:
        The same rows in the same order with more columns, and the origin of each joined table.

    Raises:
        DataError: A table cannot be read, lacks a column, or two columns would have one name.
    """
    origins = []
    for number, join in enumerate(data.joins):
        table = read_table(join.source, folder, as_of)
        origins.append(table.origin)
        try:
            known = prepare_table(table.frame, join, data.time_zone, as_of)
            rows = join_as_of(rows, data.event_time, known, join)
        except DataError as fault:
            raise DataError(f"data.joins.{number} ({table.origin.place}): {fault}") from fault
    return rows, origins


def prepare_table(table: pl.DataFrame, join: Join, zone: str, as_of: datetime) -> pl.DataFrame:
    """Return what can be joined: keys, taken columns under their new names and when each row was known, sorted by it.

    Raises:
        DataError: A column is missing or of a type that no model takes.
    """
    for name in (join.time, *join.by, *(join.columns or ())):
        if name not in table.columns:
            raise DataError(f"column '{name}' is not in the table, which has: {', '.join(table.columns)}. Correct it.")
    taken = join.columns or [name for name in table.columns if name not in (join.time, *join.by)]
    times = utc_times(table[join.time], zone, what="Time")
    frame = typed_inputs(table.select(*join.by, *(name for name in taken if name not in join.by)), list(taken), zone)
    frame = frame.select(*join.by, *(pl.col(name).alias(f"{join.prefix}{name}") for name in taken))
    frame = frame.with_columns((times + join.available_after).alias(KNOWN))
    usable = pl.col(KNOWN) <= as_of
    for key in join.by:
        usable &= pl.col(key).is_not_null()
    return frame.filter(usable).sort(KNOWN, maintain_order=True)


def join_as_of(rows: pl.DataFrame, event_time: str, table: pl.DataFrame, join: Join) -> pl.DataFrame:
    """Join by equal keys the row with the latest time of which time + available_after <= event time.

    Of several rows of one time the last counts. With `within`, a row older than that at the event time counts as
    missing, and an older one does not take its place.

    Raises:
        DataError: A key is missing on the left, keys have different types, or two columns would have one name.
    """
    added = [name for name in table.columns if name not in join.by and name != KNOWN]
    if twice := [name for name in added if name in rows.columns]:
        raise DataError(f"column '{twice[0]}' is there already. Give the join a prefix, or name its columns.")
    table = table.with_columns(_like(table[key], rows, key) for key in join.by)
    tolerance = None if join.within is None else join.within - join.available_after
    if tolerance is not None and tolerance < timedelta(0):
        raise DataError("within is shorter than available_after, so that no row could ever count. Correct them.")
    return rows.join_asof(
        table,
        left_on=event_time,
        right_on=KNOWN,
        by=list(join.by) or None,
        strategy="backward",
        tolerance=tolerance,
        check_sortedness=False,  # both are sorted; by groups it could not be checked, and Polars warns of that
    ).drop(KNOWN, strict=False)


def _like(key: pl.Series, rows: pl.DataFrame, name: str) -> pl.Series:
    if name not in rows.columns:
        raise DataError(f"key '{name}' is not in the rows, which have: {', '.join(rows.columns)}. Correct by.")
    want = rows[name].dtype
    if key.dtype == want:
        return key
    alike = (key.dtype in TEXTS and want in TEXTS) or (key.dtype.is_integer() and want.is_integer())
    if not alike:
        raise DataError(f"key '{name}' is {want} in the rows but {key.dtype} in the table. Make them of one type.")
    return key.cast(want, strict=False)
