"""A block's rows on a scale, as whole numbers: sums that merge exactly, in any order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flywheel.profiling.placing import PIECE, PLACES, Places
from flywheel.statistics import Floats

Counts = npt.NDArray[np.int64]
# Scores are held against each other in steps of 1/STEPS: sums of whole numbers do not depend on their order.
STEPS = 32
STEPPED = np.rint(PLACES * STEPS).astype(np.int8)


@dataclass(frozen=True, eq=False)
class NumberScores:
    """A numeric column: `counts` (203,) has the rows at each place of the scale, so all moments of scores."""

    counts: Counts

    @classmethod
    def of(cls, places: Places) -> "NumberScores":
        """Count the places (n,) of rows that have a number."""
        return cls(np.bincount(places, minlength=len(PLACES)).astype(np.int64))

    @property
    def count(self) -> int:
        """Rows with a number."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """The mean normal score; 0 without rows."""
        return float(self.counts @ PLACES / max(self.count, 1))

    @property
    def variance(self) -> float:
        """The variance of normal scores around their mean; 0 without rows."""
        return float(self.counts @ (PLACES - self.mean) ** 2 / max(self.count, 1))

    def merge(self, other: "NumberScores") -> "NumberScores":
        """Return the counts of both."""
        return NumberScores(self.counts + other.counts)


@dataclass(frozen=True, eq=False)
class CategoryScores:
    """A column of categories: `counts` (n_vocabulary,) by the scale's vocabulary, `other` rows with another value."""

    counts: Counts
    other: int

    @property
    def count(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum()) + self.other

    def merge(self, other: "CategoryScores") -> "CategoryScores":
        """Return the counts of both."""
        return CategoryScores(self.counts + other.counts, self.other + other.other)


@dataclass(frozen=True, eq=False)
class Together:
    """Scores of several columns in the same rows, for their correlation: a missing value counts as the score 0.

    Args:
        names: The columns.
        rows: How many rows went in.
        sums: (n_names,) of scores times STEPS.
        products: (n_names, n_names) of scores times STEPS, row by row.
    """

    names: tuple[str, ...]
    rows: int
    sums: Counts
    products: Counts

    @classmethod
    def of(cls, names: Sequence[str], stepped: npt.NDArray[np.number[Any]]) -> "Together":
        """Sum up scores times STEPS, whole numbers (n_rows, n_names)."""
        sums, products = np.zeros(len(names)), np.zeros((len(names), len(names)))
        for begin in range(0, len(stepped), PIECE):
            # Whole numbers below 2^53 are exact in double precision, for which matrices are multiplied fastest.
            piece = stepped[begin : begin + PIECE].astype(np.float64)
            sums += piece.sum(axis=0)
            products += piece.T @ piece
        return cls(tuple(names), len(stepped), sums.astype(np.int64), products.astype(np.int64))

    def covariance(self) -> Floats:
        """Return the covariance of scores, (n_names, n_names); zeros without rows."""
        rows = max(self.rows, 1)
        means = self.sums / rows
        return np.asarray((self.products / rows - np.outer(means, means)) / STEPS**2)

    def correlation(self) -> Floats:
        """Return the correlation of scores, (n_names, n_names); 0 beside a column that does not vary."""
        covariance = self.covariance()
        deviation = np.sqrt(np.diag(covariance))
        outer = np.outer(deviation, deviation)
        return np.asarray(np.divide(covariance, outer, out=np.zeros_like(covariance), where=outer > 0))

    def merge(self, other: "Together") -> "Together":
        """Return the sums of both, which are of the same columns."""
        return Together(self.names, self.rows + other.rows, self.sums + other.sums, self.products + other.products)
