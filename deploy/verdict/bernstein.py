"""Empirical-Bernstein confidence sequence for the mean of values in 0 to 1: three sums, whatever the number of values.

Waudby-Smith & Ramdas, arXiv 2010.09686 (predictable plug-in empirical Bernstein).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.verdict.moments import Moments

# Largest λ: the theorem asks for less than 1; the paper's advice is 1/2 or 3/4.
LARGEST = 0.5


@dataclass(frozen=True)
class Bernstein:
    """Sums over the values so far.

    Args:
        weights: Σ λ.
        weighted: Σ λ X.
        price: Σ v ψ(λ), with v = 4 (X - μ)² and μ the mean before the piece.
        low: The highest lower end so far (0 to 1): a confidence sequence may be intersected with its past.
        high: The lowest upper end so far.
    """

    weights: float = 0.0
    weighted: float = 0.0
    price: float = 0.0
    low: float = 0.0
    high: float = 1.0

    def plus(self, moments: Moments, piece: Sequence[float], alpha: float) -> "Bernstein":
        """Add a piece, weighted by what the moments before it suggest."""
        bet = _plug_in(moments, alpha)
        squares = 4 * sum((value - moments.mean) ** 2 for value in piece)
        return Bernstein(
            self.weights + bet * len(piece),
            self.weighted + bet * sum(piece),
            self.price + squares * (-math.log1p(-bet) - bet) / 4,
            self.low,
            self.high,
        )

    def narrowed(self, alpha: float) -> "Bernstein":
        """Narrow the interval to (Σλ X ± (log(2/α) + Σ v ψ(λ))) / Σλ."""
        if self.weights == 0:
            return self
        centre, reach = self.weighted / self.weights, (math.log(2 / alpha) + self.price) / self.weights
        low, high = max(self.low, centre - reach), min(self.high, centre + reach)
        return Bernstein(self.weights, self.weighted, self.price, low, high)

    def evidence_above(self, candidate: float) -> float:
        """E-value against "the mean is at most the candidate"."""
        return math.exp(min(self.weighted - candidate * self.weights - self.price, 600.0))


def _plug_in(moments: Moments, alpha: float) -> float:
    """λ of the next value: √(2 log(2/α) / (σ² t log(1 + t))), at most LARGEST."""
    turn = moments.count + 1
    return min(math.sqrt(2 * math.log(2 / alpha) / (moments.variance * turn * math.log1p(turn))), LARGEST)
