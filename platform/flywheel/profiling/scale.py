"""The scale that a reference sets: where its quantiles lie, and which categories it knows.

A number becomes the normal score of its mid-rank among the reference's quantiles, so that columns of any unit and any
tail compare: 1 is one standard deviation of a normal column. Scores are cut at the edges, so that one wild value
cannot carry a block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from flywheel.column_rules import ColumnType
from flywheel.profile import MIN_SEEN
from flywheel.profiling.column import NAMED, ColumnSketch
from flywheel.statistics import Floats

QUANTILES = 101
RANKS = np.linspace(0, 1, QUANTILES)
EDGE = 0.5 / QUANTILES  # a value beyond all quantiles
# Normal scores by place, which is twice the mid-rank among the quantiles.
PLACES = np.array([NormalDist().inv_cdf(min(max(rank / 2 / QUANTILES, EDGE), 1 - EDGE)) for rank in range(203)])
MAX_PAIRED = 30  # more columns would make more pairs than anybody reads

Places = npt.NDArray[np.int64]


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
    """How rows are placed; columns in the reference's order."""

    columns: tuple[ColumnScale, ...]

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
        """The numeric columns whose scores are held against each other."""
        return tuple(column.name for column in self.numeric[:MAX_PAIRED])


def scale_of(columns: Mapping[str, ColumnSketch]) -> Scale:
    """Make the scale of a reference from the sketches of all its rows."""
    return Scale(tuple(_column_scale(sketch) for sketch in columns.values()))


def place(values: Floats, quantiles: Sequence[float]) -> Places:
    """Return the place of each value (n,), twice its mid-rank among rising quantiles: 0 to 202; NaN is undefined."""
    edges = np.asarray(quantiles)
    left = np.searchsorted(edges, values, side="left")
    tied = bool((np.diff(edges) == 0).any())
    return left + (np.searchsorted(edges, values, side="right") if tied else left)


def normal_scores(values: Floats, quantiles: Sequence[float]) -> Floats:
    """Return the normal score of each value, (n,); 0 where it is not a number."""
    return np.where(np.isnan(values), 0.0, PLACES[np.minimum(place(values, quantiles), len(PLACES) - 1)])


def _column_scale(sketch: ColumnSketch) -> ColumnScale:
    if sketch.categories is not None:
        seen = [(-rows, value) for value, rows in sketch.categories.counts.items() if rows >= MIN_SEEN]
        return ColumnScale(sketch.name, sketch.type, vocabulary=tuple(value for _, value in sorted(seen)))
    if sketch.type == "datetime" or sketch.numbers is None or not sketch.numbers.count:
        return ColumnScale(sketch.name, sketch.type)
    return ColumnScale(sketch.name, sketch.type, quantiles=tuple(sketch.numbers.at(RANKS).tolist()))
