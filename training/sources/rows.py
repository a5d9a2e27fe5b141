"""Rows of a use case as they were known at a time: in comes what it says of its data, out goes a typed frame.

The frame holds the event time (naive UTC, microseconds), the raw inputs (Int64, Float64, String, Boolean, Datetime; any
may be null), the label (null while unknown), and entity, subject and group when the use case names them.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from flywheel.errors import DataError
from flywheel.usecase import Data, Task
from training.sources.faults import count_rows, name_rows
from training.sources.inputs import typed_inputs, typed_key
from training.sources.joins import join_tables
from training.sources.labels import check_missing, typed_label
from training.sources.origin import Origin, Table
from training.sources.table import read_table
from training.sources.times import utc_times


@dataclass(frozen=True)
class Loaded:
    """The typed rows, sorted by event time, and where they came from."""

    rows: pl.DataFrame
    origin: Origin


def load_rows(data: Data, folder: Path, as_of: datetime, task: Task = "binary") -> pl.DataFrame:
    """Return the rows of `load_source` alone."""
    return load_source(data, folder, as_of, task).rows


def load_source(data: Data, folder: Path, as_of: datetime, task: Task = "binary") -> Loaded:
    """Read the source, cut it and join what was known: what had not happened by `as_of` is gone.

    Args:
        data: What the use case says of its data.
        folder: The use case's folder; paths are relative to it.
        as_of: Naive UTC. Rows at or after it are dropped; a label is kept iff event time + available_after <= as_of.
        task: Decides what the label must be: Int8 (binary), String (multiclass) or Float64 (regression).

    Returns:
        n_rows by (entity, event time, inputs, label, subject, group), in the source's order of columns, sorted by
        event time; rows of one time stay in the source's order. `data.exclude` is gone.

    Raises:
        DataError: The source cannot be read, or lacks a column, or a column is of a type that no model takes.
        TransientError: The source went away while it was read.
    """
    table = read_table(data.source, folder, as_of, leave=_unused(data))
    _check_columns(table, data)
    frame = _as_known(table.frame, data, task, as_of)
    if frame.is_empty():
        raise DataError(f"Source {table.origin.place} has no row before {as_of.isoformat()}. Choose a later as_of.")
    frame = typed_inputs(frame, input_columns(frame, data)[1:], data.time_zone)
    frame, origins = join_tables(frame, data, folder, as_of)
    _check_exclude(table, frame, data)
    frame = frame.drop(set(data.exclude) - _keys(data), strict=False)
    if len(input_columns(frame, data)) < 2:
        raise DataError("The source has no input column beside event time, label and keys. Add one.")
    return Loaded(frame, replace(table.origin, joins=tuple(origins)))


def input_columns(rows: pl.DataFrame, data: Data) -> list[str]:
    """Name what a request carries: the event time first, then the raw inputs."""
    apart = {data.event_time, *_keys(data), *data.exclude}
    return [data.event_time, *(name for name in rows.columns if name not in apart)]


def _keys(data: Data) -> set[str]:
    """Name what stays in the rows and is no input: label, entity, subject and group."""
    return {name for name in (data.label.column, data.entity, data.subject, data.group) if name is not None}


def _unused(data: Data) -> frozenset[str]:
    """Name what need not be read: excluded columns that no join, key or time is made of."""
    return frozenset(data.exclude) - _keys(data) - {data.event_time, *(key for join in data.joins for key in join.by)}


def _check_columns(table: Table, data: Data) -> None:
    for what, name in [
        ("event_time", data.event_time),
        ("label", data.label.column),
        ("entity", data.entity),
        ("subject", data.subject),
        ("group", data.group),
    ]:
        if name is not None and name not in table.frame.columns:
            has = ", ".join(table.columns)
            raise DataError(
                f"Column '{name}' (data.{what}) is not in the source, which has: {has}. Correct usecase.yaml."
            )


def _check_exclude(table: Table, frame: pl.DataFrame, data: Data) -> None:
    """A misspelt exclusion would let a leak in."""
    if unknown := [name for name in data.exclude if name not in table.columns and name not in frame.columns]:
        raise DataError(
            f"Column '{unknown[0]}' (data.exclude) is neither in the source nor joined; there are:"
            f" {', '.join(table.columns)}. Correct usecase.yaml."
        )


def _as_known(frame: pl.DataFrame, data: Data, task: Task, as_of: datetime) -> pl.DataFrame:
    """Type event time, label and keys, drop what lies at or after `as_of`, hide labels not known by then, and sort."""
    entity = None if data.entity is None else typed_key(frame[data.entity], "entity")
    times = _event_times(frame, data, entity)
    label = typed_label(frame[data.label.column], data.label, task, entity)
    past, known = times < as_of, times <= as_of - data.label.available_after
    check_missing(label, known & past, data.label, entity)
    if not known.all():
        label = label.zip_with(known, pl.Series([None], dtype=label.dtype))
    keys = [] if entity is None else [entity]
    if data.subject is not None:
        keys.append(typed_key(frame[data.subject], "subject"))
    frame = frame.with_columns(times, label, *keys)
    if not past.all():
        frame = frame.filter(past)
    # Sorting 5 million rows by 20 columns takes as long as reading them; seeing that they are sorted, milliseconds.
    return frame if frame[data.event_time].is_sorted() else frame.sort(data.event_time, maintain_order=True)


def _event_times(frame: pl.DataFrame, data: Data, entity: pl.Series | None) -> pl.Series:
    times = utc_times(frame[data.event_time], data.time_zone, what="Event time", entity=entity)
    if times.null_count():
        raise DataError(
            f"Event time '{times.name}' is missing in {count_rows(times.null_count())}:"
            f" {name_rows(times.is_null(), None, entity)}. Drop those rows in the source."
        )
    return times
