"""A block: the rows of one stretch of event time, as sketches and, on a reference's scale, as sums of scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.scores import CategoryScores, NumberScores, Together

T = TypeVar("T")


@dataclass(frozen=True)
class Block:
    """The rows with start <= event time < end (naive UTC).

    Args:
        start: Where it begins.
        end: Where it ends.
        rows: How many there are.
        columns: By name.
        numbers: By name of numeric column, on the scale of the series.
        categories: By name of column of text or booleans, on the scale of the series.
        together: The numeric columns side by side; None without a scale.
    """

    start: datetime
    end: datetime
    rows: int
    columns: Mapping[str, ColumnSketch] = field(default_factory=dict)
    numbers: Mapping[str, NumberScores] = field(default_factory=dict)
    categories: Mapping[str, CategoryScores] = field(default_factory=dict)
    together: Together | None = None

    def merge(self, other: "Block") -> "Block":
        """Return the block of both blocks' rows, over the time of both.

        A column that one of them does not know has the rows of the other.
        """
        return Block(
            start=min(self.start, other.start),
            end=max(self.end, other.end),
            rows=self.rows + other.rows,
            columns=merged_columns(self.columns, other.columns),
            numbers=_both(self.numbers, other.numbers, NumberScores.merge),
            categories=_both(self.categories, other.categories, CategoryScores.merge),
            together=_either(self.together, other.together),
        )

    def beside(self, other: "Block") -> "Block":
        """Return the block with the columns of both: `other` knows other columns of these rows, or of some of them."""
        return replace(
            self,
            rows=max(self.rows, other.rows),
            columns={**self.columns, **other.columns},
            numbers={**self.numbers, **other.numbers},
            categories={**self.categories, **other.categories},
            together=self.together or other.together,
        )

    def published(self) -> "Block":
        """Return what of a block may go into a package, and is small enough: see `ColumnSketch.counted`."""
        return replace(self, columns={name: column.counted() for name, column in self.columns.items()})


def merged_columns(one: Mapping[str, ColumnSketch], other: Mapping[str, ColumnSketch]) -> dict[str, ColumnSketch]:
    """Return the sketches of both parts' rows, by name."""
    return _both(one, other, ColumnSketch.merge)


def _both(one: Mapping[str, T], other: Mapping[str, T], merge: Callable[[T, T], T]) -> dict[str, T]:
    shared = {name: merge(part, other[name]) for name, part in one.items() if name in other}
    return {**one, **other, **shared}


def _either(one: Together | None, other: Together | None) -> Together | None:
    return one.merge(other) if one and other else one or other
