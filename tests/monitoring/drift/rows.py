"""Rows with day effects for the tests of drift, and their profiles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from flywheel.column_rules import ColumnType
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series import Series
from flywheel.statistics import Floats

FIRST = np.datetime64("2024-01-01", "us")
CATEGORIES = ("a", "b", "c")


@dataclass
class Rows:
    """A world: `columns` numbers x0, x1, … of which the first two correlate, and categories in `c`."""

    seed: int
    columns: int = 4
    rows: int = 100
    rho: float = 0.05
    phi: float = 0.3
    generator: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.seed)
        self.effect = self.generator.normal(size=self.columns)

    @property
    def types(self) -> Mapping[str, ColumnType]:
        return {**{f"x{number}": "double" for number in range(self.columns)}, "c": "string"}

    def days(self, first: int, count: int, change: Callable[[Floats], None] | None = None) -> pl.DataFrame:
        """Draw days; `change` may alter the numbers (n_days, n_rows, n_columns) in place."""
        effects = np.zeros((count, self.columns))
        for day in range(count):
            push = self.generator.normal(size=self.columns)
            self.effect = self.phi * self.effect + np.sqrt(1 - self.phi**2) * push
            effects[day] = self.effect
        values = self.generator.normal(size=(count, self.rows, self.columns))
        values[:, :, 1] = 0.6 * values[:, :, 0] + 0.8 * values[:, :, 1]
        values = np.sqrt(1 - self.rho) * values + np.sqrt(self.rho) * effects[:, None]
        if change is not None:
            change(values)
        times = np.repeat(FIRST + np.arange(first, first + count) * np.timedelta64(1, "D"), self.rows)
        numbers = {f"x{number}": values[:, :, number].ravel() for number in range(self.columns)}
        return pl.DataFrame({"time": times, **numbers, "c": self.generator.choice(CATEGORIES, count * self.rows)})

    def reference(self, count: int = 60) -> tuple[pl.DataFrame, Series]:
        """Draw a reference and profile it."""
        frame = self.days(0, count)
        return frame, profile_rows(frame, self.types, "time")

    def live(self, reference: Series, frame: pl.DataFrame) -> Series:
        """Profile live rows on the reference's scale."""
        return profile_rows(frame, self.types, "time", scale=reference.scale)
