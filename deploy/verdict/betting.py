"""Bets against hypothesised means of values in 0 to 1: e-processes, and the interval of what they do not refute.

Each candidate g has two players. One bets that the mean is above g, and is honest for every mean up to g; the other
bets that it is below. What a player owns is an e-process, valid at every look (Ville's inequality). Waudby-Smith &
Ramdas, arXiv 2010.09686: the capital process Π(1 + λ(X - g)), its two one-sided halves.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from deploy.verdict.moments import Moments

# A bet never risks more than this part of what a player owns.
RISK = 0.5
# So many factors are multiplied before a logarithm is taken: 0.5²⁵⁶ is far from a double's end.
_CHUNK = 256


@dataclass(frozen=True)
class Players:
    """The players' logarithmic capital, by candidate.

    Args:
        above: Of those who bet that the mean is above their candidate.
        below: Of those who bet that it is below.
        low: Every mean below this was refuted at some look (0 to 1).
        high: Every mean above this was refuted at some look.
    """

    above: tuple[float, ...]
    below: tuple[float, ...]
    low: float = 0.0
    high: float = 1.0

    def bet(
        self, candidates: Sequence[float], moments: Moments, piece: Sequence[float], marks: Collection[float] = ()
    ) -> "Players":
        """Lay the bets that the moments before the piece suggest, and settle them with the piece.

        Against a candidate that was refuted nobody bets any more, unless it is one of the marks, whose e-values count.
        """
        above, below = list(self.above), list(self.below)
        # A player for whom the mean so far is on the wrong side of the candidate bets nothing.
        split = bisect_left(candidates, moments.mean)
        for index, candidate in enumerate(candidates):
            if not self.low < candidate < self.high and candidate not in marks:
                continue
            players = above if index < split else below
            players[index] += _gain(candidate, _agrapa(candidate, moments), piece)
        return Players(tuple(above), tuple(below), self.low, self.high)

    def narrowed(self, candidates: Sequence[float], alpha: float) -> "Players":
        """Narrow the interval to what is not refuted at error α, half of it to each side.

        Below the mean m only the players at the candidates up to m are right; the lower end passes m only if the one
        at the next candidate above m, who is honest for m, was ever worth 2/α. So the candidates need not be dense.
        """
        threshold = math.log(2 / alpha)
        low, high = self.low, self.high
        for candidate, capital in zip(candidates, self.above, strict=True):
            if candidate > low:
                if capital < threshold:
                    break
                low = candidate
        for candidate, capital in zip(reversed(candidates), reversed(self.below), strict=True):
            if candidate < high:
                if capital < threshold:
                    break
                high = candidate
        return Players(self.above, self.below, low, high)


def fresh(candidates: Sequence[float]) -> Players:
    """Return players that own one each."""
    return Players((0.0,) * len(candidates), (0.0,) * len(candidates))


def ladder(around: float, rungs: int = 12) -> tuple[float, ...]:
    """Return candidates that lie the denser the closer to `around` (0 to 1, both excluded), to both sides."""
    up = [around + (1 - around) * 2.0**-rung for rung in range(1, rungs + 1)]
    down = [around - around * 2.0**-rung for rung in range(1, rungs + 1)]
    return tuple(sorted({*up, *down, around}))


def _agrapa(candidate: float, moments: Moments) -> float:
    """The bet that maximises growth, approximately: aGRAPA (arXiv 2010.09686), with at most RISK at stake.

    λ = (μ - g) / (σ² + (μ - g)²), cut to [-RISK / (1 - g), RISK / g].
    """
    lead = moments.mean - candidate
    return min(max(lead / (moments.variance + lead * lead), -RISK / (1 - candidate)), RISK / candidate)


def _gain(candidate: float, bet: float, piece: Sequence[float]) -> float:
    """Logarithm of Π(1 + λ(X - g)) over a piece."""
    kept = 1 - bet * candidate
    return sum(
        math.log(math.prod([kept + bet * value for value in piece[at : at + _CHUNK]]))
        for at in range(0, len(piece), _CHUNK)
    )
