"""Whether a figure of the new days differs from the same figure of the days before, by more than days differ anyway.

Days are the observations. Their autocorrelation is estimated, corrected upwards, and makes means less certain; the
level is divided by the number of figures looked at (Bonferroni), which holds however they depend on each other.
"""

import math
from dataclasses import dataclass

from scipy.special import stdtr  # scipy.stats takes 1.7 s to import

from flywheel.profile import DayStatistic

LEVEL = 0.01  # of a check over all columns and figures
MIN_DAYS = 8  # fewer days before do not say how days vary


@dataclass(frozen=True)
class Effect:
    """A figure's mean before and now, and the probability of a difference so large when nothing has changed."""

    before: float
    now: float
    p: float

    @property
    def size(self) -> float:
        """How far the figure moved."""
        return abs(self.now - self.before)


def compare_days(before: DayStatistic, days_before: int, now: DayStatistic, days_now: int) -> Effect:
    """Compare the means of two runs of days; p is 1 when there are too few days before to judge by.

    Two-sided t, with the standard deviation between the days before (or now, if larger), and the degrees of freedom
    that remain of the days before once their autocorrelation is accounted for.
    """
    if days_before < MIN_DAYS or days_now < 1:
        return Effect(before.mean, now.mean, 1.0)
    phi = cautious_autocorrelation(before.autocorrelation, days_before)
    deviation = max(before.sd, now.sd if days_now >= MIN_DAYS else 0.0)
    variance = deviation**2 * (mean_variance(phi, days_now) + mean_variance(phi, days_before))
    if variance == 0:
        return Effect(before.mean, now.mean, 0.0 if now.mean != before.mean else 1.0)
    freedom = max(1 / mean_variance(phi, days_before) - 1, 1.0)
    t = abs(now.mean - before.mean) / math.sqrt(variance)
    return Effect(before.mean, now.mean, float(2 * stdtr(freedom, -t)))


def cautious_autocorrelation(estimate: float, days: int) -> float:
    """Return the estimate without its downward bias, −(1 + 3φ)/n (Kendall 1954), one error higher; from 0 to 0.95."""
    unbiased = estimate + (1 + 3 * estimate) / days
    error = math.sqrt(max(1 - unbiased**2, 0.0) / days)
    return min(max(unbiased + error, 0.0), 0.95)


def mean_variance(phi: float, days: int) -> float:
    """Return the variance of the mean of `days` values of an AR(1) series of variance 1.

    (1/n)(1 + 2 Σ_{k<n} (1 − k/n) φ^k), in closed form (Anderson, The Statistical Analysis of Time Series, 1971, 8.3).
    """
    tail = phi * (1 - phi**days) / (days * (1 - phi) ** 2)
    return (1 + 2 * (phi / (1 - phi) - tail)) / days
