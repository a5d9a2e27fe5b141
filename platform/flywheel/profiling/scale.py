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
from flywheel.profiling.column import NAMED, ColumnSketch, empty_sketch
from flywheel.profiling.placing import PLACES, QUANTILES, place

__all__ = [
    "MAX_PAIRED",
    "PLACES",
    "QUANTILES",
    "RANKS",
    "ColumnScale",
    "Scale",
    "column_scale",
    "merged_sketch",
    "place",
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


def column_scale(sketch: ColumnSketch) -> ColumnScale:
    """Make the scale of one column."""
    if sketch.categories is not None:
        seen = [(-rows, value) for value, rows in sketch.categories.counts.items() if rows >= MIN_SEEN]
        return ColumnScale(sketch.name, sketch.type, vocabulary=tuple(value for _, value in sorted(seen)))
    if sketch.type == "datetime" or sketch.numbers is None or not sketch.numbers.count:
        return ColumnScale(sketch.name, sketch.type)
    return ColumnScale(sketch.name, sketch.type, quantiles=tuple(sketch.numbers.at(RANKS).tolist()))


def merged_sketch(name: str, kind: ColumnType, sketches: Iterable[ColumnSketch]) -> ColumnSketch:
    """Return the sketch of all parts of a column, of no rows where there is no part."""
    return reduce(ColumnSketch.merge, sketches, empty_sketch(name, kind))
