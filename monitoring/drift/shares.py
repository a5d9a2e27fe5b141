"""How shares are followed, so that days and chance move them alike whatever the share.

A share that a usual block has at least `ENOUGH` rows of is followed as log-odds: what moves days moves odds. A rarer
one is followed as an arcsine root, whose sampling variance is 1/4n at most (Anscombe, Biometrika 35, 1948) and whose
difference is half of Cohen's h (Statistical Power Analysis, 1988, section 6.2). With few rows both are off on average,
more so the smaller the block; that is taken out, by the Poisson distribution around the reference's share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logit

from flywheel.statistics import Floats

ENOUGH = 2.0  # rows of a usual block
FEW = 25.0  # rows up to which the mean is corrected
COUNTS = np.arange(60.0)
LOG_FACTORIALS = gammaln(COUNTS + 1)


@dataclass(frozen=True)
class Share:
    """One share: `base` is the reference's, 0 to 1; `odds` whether it is followed as log-odds."""

    base: float
    odds: bool

    @classmethod
    def of(cls, base: float, rows: float) -> Self:
        """Choose for a share that is `base` of `rows` rows of a usual block."""
        return cls(base, min(base, 1 - base) * rows >= ENOUGH)

    @property
    def row_variance(self) -> float:
        """The sampling variance in a block times its rows."""
        return 1 / (self.base * (1 - self.base)) if self.odds else 0.25

    @property
    def unit(self) -> float:
        """How far one standard deviation of a row's indicator is."""
        return math.sqrt(self.row_variance)

    def read(self, value: float) -> float:
        """Return the share that a value of the stream stands for, 0 to 1."""
        if self.odds:
            return 1 / (1 + math.exp(-max(min(value, 700.0), -700.0)))
        return math.sin(min(max(value, 0.0), math.pi / 2)) ** 2


@dataclass(frozen=True)
class Shares:
    """Several shares at once: `base` (n_streams,), `odds` (n_streams,)."""

    base: Floats
    odds: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, shares: Sequence[Share]) -> Self:
        """Take them in their order."""
        return cls(np.array([share.base for share in shares]), np.array([share.odds for share in shares], dtype=bool))

    def values(self, counts: Floats, rows: Floats) -> Floats:
        """Return the streams' values from counts and the rows they are of, all (n_streams,); NaN without rows."""
        with np.errstate(divide="ignore", invalid="ignore"):
            plain = _followed(counts, rows, self.odds)
            return np.where(rows > 0, plain - self._bias(rows), np.nan)

    def _bias(self, rows: Floats) -> Floats:
        """Return how far a value is off on average; the rarer side is counted, the other mirrors it."""
        bias, rarer = np.zeros(len(rows)), np.minimum(self.base, 1 - self.base)
        few = np.flatnonzero(rows * rarer < FEW)
        if len(few):
            bias[few] = self._bias_of_few(rows[few], rarer[few], few)
        return bias

    def _bias_of_few(self, rows: Floats, rarer: Floats, few: npt.NDArray[np.int64]) -> Floats:
        base, odds = self.base[few], self.odds[few]
        expected = (rows * rarer)[:, None]
        weights = np.exp(COUNTS * np.log(np.maximum(expected, 1e-300)) - expected - LOG_FACTORIALS)
        weights[expected[:, 0] == 0, 1:] = 0.0
        values = _followed(np.minimum(COUNTS, rows[:, None]), rows[:, None], odds[:, None])
        truth = np.where(odds, logit(np.maximum(rarer, 1e-12)), np.arcsin(np.sqrt(rarer)))
        return np.asarray(np.where(base <= 0.5, 1.0, -1.0) * ((weights * values).sum(axis=1) - truth))


def _followed(counts: Floats, rows: Floats, odds: npt.NDArray[np.bool_]) -> Floats:
    return np.where(odds, np.log((counts + 0.5) / (rows - counts + 0.5)), np.arcsin(np.sqrt(counts / rows)))
