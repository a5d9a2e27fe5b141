"""Answers as the model gave them: what a recalibration moved is moved back, so that a record says both."""

import numpy as np
import polars as pl

from flywheel.recalibration import LEAST, moved

SHIFT = "shift"


def raw(answers: pl.Series, rows: pl.DataFrame) -> pl.Series:
    """Return probabilities without the shift that they were served with, (n_rows,); exact where there was none.

    Args:
        answers: (n_rows,) of class 1, as recorded.
        rows: The records, whose `shift` is null where nothing was moved.
    """
    if SHIFT not in rows.columns or rows[SHIFT].is_null().all():
        return answers
    by, served = rows[SHIFT].fill_null(0).to_numpy(), answers.cast(pl.Float64).to_numpy()
    back = moved(np.clip(served, LEAST, 1 - LEAST), np.exp(by))
    return pl.Series(answers.name, np.where(by == 0, served, back)).fill_nan(None)
