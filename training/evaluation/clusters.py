"""Which rows belong together when chance is measured: those of a day, or, with too few days, small groups at random."""

from dataclasses import dataclass

import numpy as np

from flywheel.statistics import Floats
from training.evaluation.subject import Days

FEWEST_DAYS = 10
ROW_GROUPS = 200


@dataclass(frozen=True)
class Clusters:
    """The unit of evidence of each row: `code` (n_rows,) from 0 to count − 1, each of them occurring."""

    code: Days
    count: int
    unit: str
    note: str = ""

    @property
    def rows(self) -> Floats:
        """How many rows each cluster has, (count,)."""
        return np.asarray(np.bincount(self.code, minlength=self.count), dtype=np.float64)

    def sums(self, values: Floats) -> Floats:
        """Sum values (n_rows,) or (n_rows, n_columns) within clusters: (count,) or (count, n_columns)."""
        if values.ndim == 1:
            return np.asarray(np.bincount(self.code, weights=values, minlength=self.count), dtype=np.float64)
        return np.column_stack([self.sums(column) for column in values.T])


def cluster(day: Days, seed: int) -> Clusters:
    """Take days as clusters; with fewer than 10 of them, rows, in at most 200 groups at random.

    Groups of independent rows give the same standard errors and resamples as the rows themselves, and cost less.
    """
    names, code = np.unique(day, return_inverse=True)
    if len(names) >= FEWEST_DAYS:
        return Clusters(code.astype(np.int64), len(names), "days")
    groups = max(1, min(ROW_GROUPS, len(day)))
    shuffled = np.random.default_rng(seed).permutation(len(day)).astype(np.int64) % groups
    note = f"Only {len(names)} days: rows count as independent, so intervals are too narrow if rows of a day are alike."
    return Clusters(shuffled, groups, "rows", note)
