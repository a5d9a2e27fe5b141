"""Answers as the model gave them: what a recalibration moved is moved back, so that a record says both."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from flywheel.recalibration import LEAST, MOST, moved
from flywheel.statistics import Floats

SHIFT = "shift"
EXACT = 1e-12  # to which moving back is exact


def raw(answers: pl.Series, rows: pl.DataFrame, points: Sequence[float] = ()) -> pl.Series:
    """Return probabilities without the shift that they were served with, (n_rows,); exact where there was none.

    Args:
        answers: (n_rows,) of class 1, as recorded.
        rows: The records, whose `shift` is null where nothing was moved.
        points: Values, rising, that an answer is taken to be when it is as near as moving back is exact: many models
            have few answers, and on a scale of quantiles one lies at its own and not beside it.
    """
    if SHIFT not in rows.columns or rows[SHIFT].is_null().all():
        return answers
    by, served = rows[SHIFT].fill_null(0).to_numpy(), answers.cast(pl.Float64).to_numpy()
    back = moved(np.clip(served, LEAST, MOST), np.exp(by))
    back = _snapped(back, np.asarray(points, dtype=np.float64)) if points else back
    return pl.Series(answers.name, np.where(by == 0, served, back)).fill_nan(None)


def _snapped(values: Floats, points: Floats) -> Floats:
    """Return values (n,) with those replaced that lie beside one of some points, which rise."""
    last = len(points) - 1
    after = np.minimum(np.searchsorted(points, values), last)
    for near in (points[np.maximum(after - 1, 0)], points[after]):
        values = np.where(np.abs(values - near) <= EXACT, near, values)
    return values
