"""95 % intervals of what gates measure: means of rows that resemble each other within a day, and quantiles."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from flywheel.statistics import Floats, clustered_error

TAIL = 0.975
FEWEST_DAYS = 10  # below, rows count as independent: a standard error of so few clusters says little


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval; `unit` is what counts as independent: days or rows."""

    value: float
    low: float
    high: float
    unit: str
    units: int


def mean_of(values: Floats, day: npt.NDArray[np.int64]) -> Mean:
    """Return the mean of values (n_rows,) and its interval by Student's t over days, or over rows with too few days."""
    value = float(values.mean())
    _, code, rows = np.unique(day, return_inverse=True, return_counts=True)
    if len(rows) >= FEWEST_DAYS:
        sums = np.asarray(np.bincount(code, weights=values), dtype=np.float64)
        error, units, unit = clustered_error(sums, rows), len(rows), "days"
    else:
        units, unit = len(values), "rows"
        error = float(values.std(ddof=1) / math.sqrt(units)) if units > 1 else math.inf
    reach = student_quantile(units - 1) * error if units > 1 else math.inf
    return Mean(value, value - reach, value + reach, unit, units)


def student_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t; from 5 degrees of freedom on to three digits.

    Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf(TAIL)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def quantile_of(values: Floats, share: float) -> tuple[float, float, float]:
    """Return a quantile of values (n,) and its 95 % interval by order statistics, whatever their distribution.

    The number of values below the quantile is binomial (David and Nagaraja 2003, Order Statistics, section 7.1). With
    too few values for an upper end, the largest value stands there.
    """
    ordered = np.sort(values)
    n = len(ordered)
    below = np.cumsum([_binomial(n, k, share) for k in range(n + 1)])
    low = int(np.searchsorted(below, 1 - TAIL))
    high = int(np.searchsorted(below, TAIL))
    return float(np.quantile(ordered, share)), float(ordered[max(0, low - 1)]), float(ordered[min(n - 1, high)])


def _binomial(n: int, k: int, share: float) -> float:
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log + k * math.log(share) + (n - k) * math.log1p(-share))
