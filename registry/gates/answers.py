"""Two frames of answers beside each other: how far they differ, whatever the outputs are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from flywheel.statistics import Floats

BATCH = 1000  # rows a question: a server has 60 s for each


def as_frame(answers: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Turn a server's answers, one a row, into a frame."""
    return pl.DataFrame(list(answers), infer_schema_length=None, strict=False)


def differences(found: pl.DataFrame, expected: pl.DataFrame) -> Floats:
    """Return the largest difference of each row, (n_rows,): absolute up to a size of 1, relative beyond it.

    An output that is no number differs by 1 where it is another; missing outputs and values likewise.
    """
    worst = np.zeros(expected.height)
    for name in expected.columns:
        if name not in found.columns:
            return np.ones(expected.height)
        worst = np.maximum(worst, _column(found[name], expected[name]))
    return np.asarray(worst, dtype=np.float64)


def _column(found: pl.Series, expected: pl.Series) -> Floats:
    if not (expected.dtype.is_numeric() and found.dtype.is_numeric()):
        same = found.cast(pl.String).eq_missing(expected.cast(pl.String))
        return np.asarray((~same).cast(pl.Float64).to_numpy(), dtype=np.float64)
    here, there = (values.cast(pl.Float64).fill_null(float("nan")).to_numpy() for values in (found, expected))
    both_missing, either = np.isnan(here) & np.isnan(there), np.isnan(here) | np.isnan(there)
    with np.errstate(invalid="ignore"):
        gap = np.abs(here - there) / np.maximum(1, np.abs(there))
    return np.asarray(np.where(both_missing | (here == there), 0.0, np.where(either, 1.0, gap)), dtype=np.float64)
