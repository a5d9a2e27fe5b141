"""The asymptotic confidence sequence: an interval around an estimate that holds at all looks together.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, arXiv 2103.06476, Theorem 2.2: with n units, mean m and deviation s, the
intervals m ± s √(2 (n ρ² + 1) / (n² ρ²) · log(√(n ρ² + 1) / α)) form a (1 - α)-asymptotic confidence sequence for any
ρ > 0 that was fixed before. It is Robbins' normal mixture, so the same numbers give an e-value. "Asymptotic" means that
it needs enough units before the first look (section 2.5 there: coverage from unit m on tends to 1 - α as m grows),
which is what a plan's `minimum_units` is for.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Boundary:
    """What is fixed before the start.

    Args:
        alpha: Probability that any of the intervals, at any look, misses what is estimated.
        planned: Units at which the interval is to be narrowest, for its number of units.
    """

    alpha: float
    planned: float

    @property
    def tuning(self) -> float:
        """ρ²: where the width at the planned units is least.

        With x = n ρ² the squared width is proportional to (1 + 1/x) log((x + 1)/α²); its derivative is 0 at
        x = log(x + 1) - 2 log α. The paper's eq. (10) is the first step of this iteration, which contracts (x > 2).
        """
        best = -2 * math.log(self.alpha)
        for _ in range(60):
            best = math.log1p(best) - 2 * math.log(self.alpha)
        return best / self.planned

    def reach(self, count: float) -> float:
        """Return half the interval's width with so many units, in standard errors of the estimate."""
        grown = count * self.tuning
        return math.sqrt((1 + 1 / grown) * (math.log1p(grown) - 2 * math.log(self.alpha)))

    def log_evidence(self, distance: float, count: float) -> float:
        """Return the logarithm of the e-value against a value that is so many standard errors away.

        The mixture ∫ exp(λ S - λ² V / 2) dN(λ; 0, ρ²/s²) of S = distance · √V; at least log 1/α exactly where the
        interval leaves the value out.
        """
        grown = count * self.tuning
        return distance * distance * grown / (2 * (1 + grown)) - math.log1p(grown) / 2
