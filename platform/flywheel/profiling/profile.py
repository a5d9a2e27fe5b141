"""Making profiles: rows in, a series of blocks out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from flywheel.column_rules import EPOCH, ColumnType
from flywheel.errors import DataError
from flywheel.profiling.block import Block
from flywheel.profiling.categories import Categories
from flywheel.profiling.column import NAMED, ColumnSketch
from flywheel.profiling.quantiles import Quantiles
from flywheel.profiling.scale import Scale, place, scale_of
from flywheel.profiling.scores import STEPPED, CategoryScores, NumberScores, Together
from flywheel.profiling.series import DAY, Series
from flywheel.profiling.values import names, numbers
from flywheel.statistics import Floats


@dataclass(frozen=True)
class _Span:
    """The rows of one block in a frame that is in order of time."""

    start: datetime
    end: datetime
    frame: pl.DataFrame


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
        columns: Type by name; never a key of an entity or a person.
        event_time: The column of event times, naive UTC.
        every: The length of a block.
        scale: Of the reference. None: these rows are the reference, and their own quantiles make it.

    Raises:
        DataError: The event time is missing in the frame or in a row, or is no time.
    """
    spans = _spans(frame, event_time, every)
    sketched = [Block(span.start, span.end, span.frame.height, _sketches(span.frame, columns)) for span in spans]
    if scale is None:
        whole = Series(Scale(()), every, tuple(sketched))
        scale = scale_of(whole.merged().columns if sketched else {})
    blocks = [_scored(block, span.frame, scale) for block, span in zip(sketched, spans, strict=True)]
    return Series(scale, every, tuple(blocks))


def _spans(frame: pl.DataFrame, event_time: str, every: timedelta) -> list[_Span]:
    if event_time not in frame.columns or not frame[event_time].dtype.is_temporal():
        raise DataError(f"Event time '{event_time}' is no column of times. Name the column that says when a row was.")
    times = frame[event_time].cast(pl.Datetime("us"))
    if times.null_count():
        raise DataError(f"Event time '{event_time}' is missing in {times.null_count()} rows. Leave these rows out.")
    if not times.is_sorted():
        frame = frame[times.arg_sort()]
        times = times.sort()
    step = every // timedelta(microseconds=1)
    number, first = np.unique(times.to_physical().to_numpy() // step, return_index=True)
    ends = [*first[1:].tolist(), frame.height]
    return [
        _Span(EPOCH + every * count, EPOCH + every * (count + 1), frame[begin:end])
        for count, begin, end in zip(number.tolist(), first.tolist(), ends, strict=True)
    ]


def _sketches(frame: pl.DataFrame, columns: Mapping[str, ColumnType]) -> dict[str, ColumnSketch]:
    return {name: _sketch(frame, name, kind) for name, kind in columns.items()}


def _sketch(frame: pl.DataFrame, name: str, kind: ColumnType) -> ColumnSketch:
    rows = frame.height
    if kind in NAMED:
        counts = dict(names(frame, name).drop_nulls().value_counts(name="_rows").iter_rows())
        return ColumnSketch(name, kind, rows, rows - sum(counts.values()), categories=Categories.of(counts))
    values = numbers(frame, name, kind)
    missing = int(np.isnan(values).sum())
    return ColumnSketch(name, kind, rows, missing, numbers=Quantiles.of(values[np.isfinite(values)]))


def _scored(block: Block, frame: pl.DataFrame, scale: Scale) -> Block:
    scored, stepped = {}, []
    for column in scale.numeric:
        values = numbers(frame, column.name, column.type)
        there = ~np.isnan(values)
        places = place(values, column.quantiles)
        scored[column.name] = NumberScores.of(places[there])
        if column.name in scale.paired:
            stepped.append(np.where(there, STEPPED[np.where(there, places, 0)], 0.0))
    categories = {column.name: _categories(frame, column.name, column.vocabulary) for column in scale.named}
    together = Together.of(scale.paired, _beside(stepped, frame.height))
    return Block(block.start, block.end, block.rows, block.columns, scored, categories, together)


def _beside(scores: list[Floats], rows: int) -> Floats:
    return np.column_stack(scores) if scores else np.zeros((rows, 0))


def _categories(frame: pl.DataFrame, name: str, vocabulary: tuple[str, ...]) -> CategoryScores:
    present = names(frame, name).drop_nulls()
    codes = present.cast(pl.Enum(vocabulary), strict=False).to_physical()
    known = codes.drop_nulls().to_numpy().astype(np.int64)
    return CategoryScores(np.bincount(known, minlength=len(vocabulary)).astype(np.int64), int(codes.null_count()))
