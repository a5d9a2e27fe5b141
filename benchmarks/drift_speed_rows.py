"""The rows that `benchmarks.drift_speed` judges: twelve columns of numbers and eight of categories, over some days."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from flywheel.column_rules import ColumnType
from flywheel.statistics import Floats

TIME = "at"
START = datetime(2024, 1, 1)
NUMBERS, NAMES = 12, 8
DAYS = 90
COLUMNS: dict[str, ColumnType] = {
    **{f"x{number}": "double" for number in range(NUMBERS)},
    **{f"c{number}": "string" for number in range(NAMES)},
}


def draw(rows: int, days: int, *, start: datetime = START, seed: int = 0) -> pl.DataFrame:
    """Draw rows in order of time, spread evenly over some days; the same for the same seed."""
    generator = np.random.default_rng(seed)
    step = timedelta(days=days) / rows
    moments = pl.Series(TIME, (np.arange(rows) * (step / timedelta(microseconds=1))).astype(np.int64))
    times = (pl.Series([start]).cast(pl.Datetime("us")).to_physical()[0] + moments).cast(pl.Datetime("us"))
    numbers = {f"x{number}": _numbers(generator, number, rows) for number in range(NUMBERS)}
    names = {f"c{number}": _names(generator, number, rows) for number in range(NAMES)}
    return pl.DataFrame([times.alias(TIME)]).with_columns(**numbers, **names)


def write(folder: Path, rows: int) -> tuple[Path, Path]:
    """Write a reference of `DAYS` days and a window of the days after it, of so many rows each; return both files."""
    reference, window = folder / "reference.parquet", folder / "window.parquet"
    draw(rows, DAYS).write_parquet(reference)
    draw(rows, DAYS, start=START + timedelta(days=DAYS), seed=1).write_parquet(window)
    return reference, window


def _numbers(generator: np.random.Generator, number: int, rows: int) -> pl.Series:
    """Draw normal, skewed and whole numbers by turns; one in fifty of every fourth column is missing."""
    shapes: tuple[Floats, ...] = (
        generator.normal(size=rows),
        generator.lognormal(size=rows),
        generator.poisson(3, rows).astype(np.float64),
    )
    values = shapes[number % len(shapes)]
    return pl.Series(np.where(generator.random(rows) < 0.02, np.nan, values) if number % 4 == 0 else values)


def _names(generator: np.random.Generator, number: int, rows: int) -> pl.Series:
    """Draw from 5 to 40 values, of which the first are the commonest."""
    values = [f"value {place}" for place in range(5 * (number + 1))]
    shares = 1 / np.arange(1, len(values) + 1)
    codes = generator.choice(len(values), rows, p=shares / shares.sum())
    return pl.Series(values).gather(codes)
