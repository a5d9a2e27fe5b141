"""The scale that a reference sets: where its quantiles lie, and which categories it knows.

A number becomes the normal score of its mid-rank among the reference's quantiles (see `flywheel.profiling.placing`), so
that columns of any unit and any tail compare.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from flywheel.column_rules import ColumnType
from flywheel.profile import MIN_SEEN
from flywheel.profiling.categories import Categories
from flywheel.profiling.column import NAMED
from flywheel.profiling.placing import PLACES, QUANTILES, place
from flywheel.statistics import Floats

__all__ = [
    "MAX_PAIRED",
    "PLACES",
    "QUANTILES",
    "RANKS",
    "ColumnScale",
    "Scale",
    "place",
    "scale_of_names",
    "scale_of_numbers",
]

RANKS = np.linspace(0, 1, QUANTILES)
MAX_PAIRED = 30  # more columns would make more pairs than anybody reads


@dataclass(frozen=True)
class ColumnScale:
    """How a column's values are placed.

    Args:
        name: The column's.
        type: As the contract has it.
        quantiles: The 0 %, 1 %, … 100 % quantiles of the reference; empty for times and where it has no number.
        vocabulary: Values the reference has at least `MIN_SEEN` times, the most frequent first.
    """

    name: str
    type: ColumnType
    quantiles: tuple[float, ...] = ()
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """How rows are placed.

    Args:
        columns: In the reference's order.
        apart: Columns whose scores are not held against those of others.
    """

    columns: tuple[ColumnScale, ...]
    apart: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All columns."""
        return tuple(column.name for column in self.columns)

    @property
    def numeric(self) -> tuple[ColumnScale, ...]:
        """The columns that have normal scores."""
        return tuple(column for column in self.columns if column.quantiles)

    @property
    def named(self) -> tuple[ColumnScale, ...]:
        """The columns that have a vocabulary, which may be empty."""
        return tuple(column for column in self.columns if column.type in NAMED)

    @property
    def paired(self) -> tuple[str, ...]:
        """The numeric columns whose scores are held against each other, at most `MAX_PAIRED`."""
        return tuple(column.name for column in self.numeric if column.name not in self.apart)[:MAX_PAIRED]

    def only(self, names: Container[str]) -> "Scale":
        """Return the scale of some columns."""
        return Scale(tuple(column for column in self.columns if column.name in names), self.apart)

    def beside(self, other: "Scale") -> "Scale":
        """Return both, whose columns are different ones; those of `other` are in no pairs."""
        return Scale(self.columns + other.columns, (*self.apart, *other.names))


def scale_of_numbers(name: str, kind: ColumnType, values: Floats) -> ColumnScale:
    """Make a column's scale from the reference's values (n_rows,), of which those that are not finite do not count.

    The quantiles are values of the rows, not between them, so that a value that many rows share stays one; and they are
    exact, so that the same rows set the same scale. Times only ever grow, and have none.
    """
    ordered = np.sort(values[np.isfinite(values)])
    if kind == "datetime" or not len(ordered):
        return ColumnScale(name, kind)
    return ColumnScale(name, kind, quantiles=tuple(ordered[np.rint(RANKS * (len(ordered) - 1)).astype(int)].tolist()))


def scale_of_names(name: str, kind: ColumnType, parts: Iterable[Categories]) -> ColumnScale:
    """Make a column's scale from the values of all parts of the reference."""
    counts = reduce(Categories.merge, parts, Categories.of({})).counts
    seen = sorted((-rows, value) for value, rows in counts.items() if rows >= MIN_SEEN)
    return ColumnScale(name, kind, vocabulary=tuple(value for _, value in seen))
