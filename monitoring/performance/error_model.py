"""The squared error to be expected of a regression before outcomes come: learned from rows whose error is known.

An additive model: the mean squared error, and by how much each input and the prediction raise or lower it, bin by bin,
found by boosting stumps on one column at a time (Bühlmann and Yu, Boosting with the L2 loss, JASA 98, 2003; Lou,
Caruana and Gehrke, KDD 2012, for such models of bins). Large enough to see that long flights or stormy days are harder,
small enough to learn from a reference sample of a few thousand rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.errors import DataError
from flywheel.statistics import Floats

BINS = 16  # of a column, by quantiles; one more for missing and unseen values
STEP = 0.1  # share of the best stump that is taken
ROUNDS = 120
HELD_BACK = 50.0  # rows of the overall mean in each bin
SCREEN = 0.995  # losses above this quantile count as it: one outlier is no model
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bins:
    """How one column's values fall into bins.

    Attributes:
        column: Its name.
        cuts: Of numbers, rising; empty for text.
        values: Of text, the commonest; empty for numbers.
    """

    column: str
    cuts: tuple[float, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Bins, the one for missing and unseen values included."""
        return (len(self.values) if self.values else len(self.cuts) + 1) + 1

    def codes(self, frame: pl.DataFrame) -> Codes:
        """Return each row's bin, (n_rows,); the last one for what is missing or unseen."""
        last = self.count - 1
        if self.column not in frame.columns:
            return np.full(frame.height, last, dtype=np.int64)
        if self.values:
            kind = pl.Enum(self.values)
            found = frame[self.column].cast(pl.String).cast(kind, strict=False).to_physical().cast(pl.Int64)
            return found.fill_null(last).to_numpy().astype(np.int64)
        numbers = frame[self.column].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        codes = np.searchsorted(np.array(self.cuts), numbers, side="right")
        return np.asarray(np.where(np.isnan(numbers), last, codes), dtype=np.int64)


@dataclass(frozen=True)
class ErrorModel:
    """The squared error by columns.

    Attributes:
        mean: Over the rows it was learned from.
        bins: Of each column.
        effects: What each bin adds, one array a column.
    """

    mean: float
    bins: tuple[Bins, ...]
    effects: tuple[Floats, ...]

    def expected(self, frame: pl.DataFrame) -> Floats:
        """Return the squared error to be expected of each row, (n_rows,); never negative."""
        total = np.full(frame.height, self.mean)
        for bins, effects in zip(self.bins, self.effects, strict=True):
            total += effects[bins.codes(frame)]
        return np.asarray(np.maximum(total, 0.0))


def learn_errors(labelled: pl.DataFrame, columns: Sequence[str]) -> ErrorModel:
    """Learn from rows whose outcome is known.

    Args:
        labelled: n_rows with `loss` (squared error) and the columns.
        columns: Inputs and `prediction`; times and keys are the caller's to leave out.

    Raises:
        DataError: There are no rows.
    """
    if labelled.is_empty():
        raise DataError(
            "No labelled rows to learn errors from: an estimate needs the reference sample or past outcomes."
        )
    loss = labelled["loss"].cast(pl.Float64).to_numpy()
    target = np.minimum(loss, np.quantile(loss, SCREEN))
    bins = tuple(_bins(labelled[column]) for column in columns if column in labelled.columns)
    codes = [one.codes(labelled) for one in bins]
    effects, left = [np.zeros(one.count) for one in bins], target - target.mean()
    rows = [np.bincount(code, minlength=one.count) for one, code in zip(bins, codes, strict=True)]
    for _ in range(ROUNDS if bins else 0):
        steps = [_stump(left, code, count) for code, count in zip(codes, rows, strict=True)]
        best = int(np.argmax([gain for gain, _ in steps]))
        step = STEP * steps[best][1]
        effects[best] += step
        left -= step[codes[best]]
    return ErrorModel(float(loss.mean()), bins, tuple(effects))


def _stump(left: Floats, codes: Codes, rows: npt.NDArray[np.integer]) -> tuple[float, Floats]:
    """Return how much of the squares a column explains, and what its bins would add."""
    sums = np.bincount(codes, left, minlength=len(rows))
    means = sums / (rows + HELD_BACK)
    return float(means @ sums), means


def _bins(column: pl.Series) -> Bins:
    if not column.dtype.is_numeric():
        counted = column.cast(pl.String).drop_nulls().value_counts(sort=True)
        common = counted.sort(["count", column.name], descending=[True, False]).head(BINS)[column.name]
        return Bins(column.name, values=tuple(common) or ("",))
    points = (column.drop_nulls().quantile(share) for share in np.arange(1, BINS) / BINS)
    return Bins(column.name, cuts=tuple(sorted({float(point) for point in points if point is not None})))
