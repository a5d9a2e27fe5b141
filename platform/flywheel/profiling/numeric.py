"""Profiles columns of numbers and of times: sketches of each block, and its rows' places on the scale."""

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.column_rules import ColumnType
from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.placing import place
from flywheel.profiling.profiled import ProfiledColumn
from flywheel.profiling.quantiles import Quantiles
from flywheel.profiling.scale import ColumnScale, scale_of_numbers
from flywheel.profiling.scores import STEPPED, NumberScores
from flywheel.profiling.spans import Spans, naive
from flywheel.statistics import Floats

TEXTS = (pl.String, pl.Categorical, pl.Enum)
Bools = npt.NDArray[np.bool_]


def profile_numbers(
    frame: pl.DataFrame, name: str, kind: ColumnType, spans: Spans, *, scale: ColumnScale | None = None
) -> ProfiledColumn:
    """Profile one column of rows in order of time; without a scale its own quantiles make one."""
    values, unfit = _numbers(frame, name, kind)
    gone = np.isnan(values)
    sketches = [_sketch(name, kind, values[rows], gone[rows], unfit[rows]) for rows in spans]
    scale = scale or scale_of_numbers(name, kind, values)
    if not scale.quantiles:
        return ProfiledColumn(scale, sketches)
    some = bool(gone.any())
    places = place(np.where(gone, 0.0, values) if some else values, scale.quantiles)
    scores = tuple(NumberScores.of(places[rows][~gone[rows]] if some else places[rows]) for rows in spans)
    stepped = np.where(gone, np.int8(0), STEPPED[places]) if some else STEPPED[places]
    return ProfiledColumn(scale, sketches, numbers=scores, stepped=stepped)


def _sketch(name: str, kind: ColumnType, values: Floats, gone: Bools, unfit: Bools) -> ColumnSketch:
    finite = np.isfinite(values)
    numbers = Quantiles.of(values if finite.all() else values[finite])
    return ColumnSketch(name, kind, len(values), int(gone.sum()), int(unfit.sum()), numbers=numbers)


def _numbers(frame: pl.DataFrame, name: str, kind: ColumnType) -> tuple[Floats, Bools]:
    """Return a column's numbers (n_rows,), NaN where a row has none, times as seconds since 1970, and what is unfit."""
    if name not in frame.columns:
        return np.full(frame.height, np.nan), np.zeros(frame.height, dtype=np.bool_)
    given = frame[name]
    made = _converted(given, kind)
    if made.null_count() == given.null_count():
        return made.to_numpy(), np.zeros(frame.height, dtype=np.bool_)
    return made.to_numpy(), (made.is_null() & given.is_not_null()).to_numpy()


def _converted(given: pl.Series, kind: ColumnType) -> pl.Series:
    """Return values as numbers, null where they are none."""
    if kind == "datetime" and given.dtype in (pl.Datetime, pl.Date):
        return naive(given).to_physical().cast(pl.Float64) / 1e6
    if kind != "datetime" and (given.dtype.is_numeric() or given.dtype in (pl.Boolean, pl.Null)):
        return given.cast(pl.Float64)
    if kind != "datetime" and given.dtype in TEXTS:
        return given.cast(pl.String).cast(pl.Float64, strict=False)
    return pl.Series(given.name, [None] * len(given), pl.Float64)
