"""Rows for profiles: a time, two numbers, text and a boolean."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from flywheel.column_rules import ColumnType

START = datetime(2024, 1, 1)
COLUMNS: dict[str, ColumnType] = {"x": "double", "count": "long", "colour": "string", "open": "boolean"}


def rows(days: int, per_day: int = 200, *, seed: int = 0, start: datetime = START, shift: float = 0.0) -> pl.DataFrame:
    """Return rows of several days in order of time; `count` goes with `x`, and one `x` in twenty is missing."""
    generator = np.random.default_rng(seed)
    size = days * per_day
    x = generator.normal(shift, 1, size)
    return pl.DataFrame(
        {
            "at": [start + timedelta(days=day, minutes=minute) for day in range(days) for minute in range(per_day)],
            "x": np.where(generator.random(size) < 0.05, np.nan, x),
            "count": np.round(2 * x + generator.normal(0, 1, size)).astype(np.int64),
            "colour": generator.choice(["red", "green", "blue"], size, p=[0.6, 0.3, 0.1]),
            "open": generator.random(size) < 0.25,
        }
    )
