"""Making profiles: rows in, a series of blocks out."""

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import polars as pl

from flywheel.column_rules import ColumnType
from flywheel.profiling.block import Block
from flywheel.profiling.column import NAMED
from flywheel.profiling.named import profile_names
from flywheel.profiling.numeric import profile_numbers
from flywheel.profiling.profiled import ProfiledColumn
from flywheel.profiling.scale import Scale
from flywheel.profiling.scores import Together
from flywheel.profiling.series import DAY, Series
from flywheel.profiling.spans import Spans, in_spans


def profile_rows(
    frame: pl.DataFrame,
    columns: Mapping[str, ColumnType],
    event_time: str,
    *,
    every: timedelta = DAY,
    scale: Scale | None = None,
) -> Series:
    """Profile rows by time, in blocks of `every`.

    Args:
        frame: n_rows; other columns than those asked for are not looked at. A column that is not there counts as
            missing in every row, and so does a value of another type.
        columns: Type by name; never a key of an entity or a person. Those of the scale come with it, with its types.
        event_time: The column of event times, UTC.
        every: The length of a block.
        scale: Of the reference. None: these rows are the reference, and their own quantiles and values make it.

    Raises:
        DataError: The event time is missing in the frame or in a row, or is no time.
    """
    frame, spans = in_spans(frame, event_time, every)
    known = {} if scale is None else {column.name: column for column in scale.columns}
    kinds = {**columns, **{name: column.type for name, column in known.items()}}
    made = [
        (profile_names if kind in NAMED else profile_numbers)(frame, name, kind, spans, scale=known.get(name))
        for name, kind in kinds.items()
    ]
    if scale is None:
        scale = Scale(tuple(column.scale for column in made))
    return Series(scale, every, _blocks(spans, scale, made))


def _blocks(spans: Spans, scale: Scale, columns: list[ProfiledColumn]) -> tuple[Block, ...]:
    scored = [column for column in columns if column.name in scale.names]  # others are sketched and placed nowhere
    stepped = {column.name: column.stepped for column in columns if column.stepped is not None}
    beside = np.array([stepped[name] for name in scale.paired], dtype=np.int8).T
    return tuple(
        Block(
            start=start,
            end=start + spans.every,
            rows=rows.stop - rows.start,
            columns={column.name: column.sketches[number] for column in columns},
            numbers={column.name: column.numbers[number] for column in scored if column.numbers},
            categories={column.name: column.categories[number] for column in scored if column.categories},
            together=Together.of(scale.paired, beside[rows]) if scale.paired else None,
        )
        for number, (start, rows) in enumerate(zip(spans.starts, spans, strict=True))
    )
