"""Profiles columns of text and of booleans: which values each block has, and which of them the reference knows."""

import numpy as np
import polars as pl

from flywheel.column_rules import ColumnType
from flywheel.profiling.categories import Categories
from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.profiled import ProfiledColumn
from flywheel.profiling.scale import ColumnScale, scale_of_names
from flywheel.profiling.scores import CategoryScores
from flywheel.profiling.spans import Spans

BOOLEANS = {0: False, 1: True}
WORDLESS = (pl.Binary, pl.Object, pl.Duration)  # what is nested aside


def profile_names(
    frame: pl.DataFrame, name: str, kind: ColumnType, spans: Spans, *, scale: ColumnScale | None = None
) -> ProfiledColumn:
    """Profile one column of rows in order of time; without a scale its own frequent values make one."""
    texts = _texts(frame, name, kind)
    unfit, counts = _unfit(frame, name, texts, spans), _counts(texts, spans)
    sketches = [
        ColumnSketch(name, kind, rows, rows - sum(seen.values()), lost, categories=Categories.of(seen))
        for rows, lost, seen in zip(spans.rows, unfit, counts, strict=True)
    ]
    if scale is None:
        scale = scale_of_names(name, kind, (one.categories for one in sketches if one.categories is not None))
    return ProfiledColumn(scale, sketches, categories=_scores(counts, scale.vocabulary))


def _texts(frame: pl.DataFrame, name: str, kind: ColumnType) -> pl.Series:
    """Return a column as text (n_rows,), null where a row has none, or has nothing of this kind."""
    if name not in frame.columns or frame[name].dtype.is_nested() or frame[name].dtype in WORDLESS:
        return pl.Series(name, [None] * frame.height, pl.String)
    values = frame[name]
    if kind == "boolean" and values.dtype.is_numeric():
        values = values.replace_strict(BOOLEANS, default=None, return_dtype=pl.Boolean)
    return values.cast(pl.String)


def _unfit(frame: pl.DataFrame, name: str, texts: pl.Series, spans: Spans) -> list[int]:
    """Count the values of each block that are of another kind, (n_blocks,)."""
    if name not in frame.columns or texts.null_count() == frame[name].null_count():
        return [0] * len(spans)
    lost = texts.is_null() & frame[name].is_not_null()
    return [int(lost[rows].sum()) for rows in spans]


def _counts(texts: pl.Series, spans: Spans) -> list[dict[str, int]]:
    """Count each block's values, (n_blocks,)."""
    found: list[dict[str, int]] = [{} for _ in range(len(spans))]
    counted = pl.DataFrame({"block": spans.index, "value": texts}).group_by("block", "value").len("rows")
    for block, value, rows in zip(*counted.get_columns(), strict=True):
        if value is not None:
            found[block][value] = rows
    return found


def _scores(counts: list[dict[str, int]], vocabulary: tuple[str, ...]) -> tuple[CategoryScores, ...]:
    """Count, for each block, the values of the vocabulary and all others."""
    known = [[seen.get(value, 0) for value in vocabulary] for seen in counts]
    others = [sum(seen.values()) - sum(row) for seen, row in zip(counts, known, strict=True)]
    table = np.array(known, dtype=np.int64).reshape(len(counts), len(vocabulary))
    return tuple(CategoryScores(row, other) for row, other in zip(table, others, strict=True))
