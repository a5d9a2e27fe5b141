"""Profiles columns of text and of booleans: which values each block has, and which of them the reference knows."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from flywheel.column_rules import ColumnType
from flywheel.profiling.categories import Categories
from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.profiled import ProfiledColumn
from flywheel.profiling.scale import ColumnScale, column_scale, merged_sketch
from flywheel.profiling.scores import CategoryScores
from flywheel.profiling.spans import Spans


def profile_names(
    frame: pl.DataFrame, name: str, kind: ColumnType, spans: Spans, *, scale: ColumnScale | None = None
) -> ProfiledColumn:
    """Profile one column of rows in order of time; without a scale its own frequent values make one."""
    texts, unfit = _texts(frame, name)
    counts = _counts(texts, spans)
    sketches = [
        _sketch(name, kind, rows, seen, unfit=rows if unfit else 0)
        for rows, seen in zip(spans.rows, counts, strict=True)
    ]
    scale = scale or column_scale(merged_sketch(name, kind, sketches))
    return ProfiledColumn(scale, sketches, categories=_scores(counts, scale.vocabulary))


def _texts(frame: pl.DataFrame, name: str) -> tuple[pl.Series, bool]:
    """Return a column as text (n_rows,), null where a row has none; and whether its values are of no such kind."""
    unfit = name in frame.columns and frame[name].dtype.is_nested()
    if unfit or name not in frame.columns:
        return pl.Series(name, [None] * frame.height, pl.String), unfit
    return frame[name].cast(pl.String), False


def _counts(texts: pl.Series, spans: Spans) -> list[dict[str, int]]:
    """Count each block's values, (n_blocks,)."""
    found: list[dict[str, int]] = [{} for _ in range(len(spans))]
    counted = pl.DataFrame({"block": spans.index, "value": texts}).group_by("block", "value").len("rows")
    for block, value, rows in zip(*counted.get_columns(), strict=True):
        if value is not None:
            found[block][value] = rows
    return found


def _sketch(name: str, kind: ColumnType, rows: int, seen: Mapping[str, int], *, unfit: int) -> ColumnSketch:
    return ColumnSketch(name, kind, rows, rows - sum(seen.values()), unfit, categories=Categories.of(seen))


def _scores(counts: list[dict[str, int]], vocabulary: tuple[str, ...]) -> tuple[CategoryScores, ...]:
    """Count, for each block, the values of the vocabulary and all others."""
    known = [[seen.get(value, 0) for value in vocabulary] for seen in counts]
    others = [sum(seen.values()) - sum(row) for seen, row in zip(counts, known, strict=True)]
    table = np.array(known, dtype=np.int64).reshape(len(counts), len(vocabulary))
    return tuple(CategoryScores(row, other) for row, other in zip(table, others, strict=True))
