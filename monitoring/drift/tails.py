"""How surprises of a reference are spread: their tails, and what streams have in common.

What a forecast foretells badly alarms falsely, so scores are put through the distribution that the reference's own
scores had, a Student t fitted to all streams of a kind together (maximum likelihood by EM: Lange, Little and Taylor,
JASA 84, 1989). What other streams share on a day is taken out by one coefficient a stream.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import gammaln, ndtri, stdtr

from flywheel.statistics import Floats

DEGREES = (3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 25.0, 50.0, 200.0)
AS_IF = 30  # standard scores that are added to those seen, so that few streams make no bold scale
SHRINKAGE = 5.0  # blocks' worth of evidence that a stream shares nothing with the others


@dataclass(frozen=True)
class Tail:
    """A Student t of `degrees` and `scale`, to which scores are held."""

    degrees: float
    scale: float

    @classmethod
    def of(cls, scores: Floats) -> Self:
        """Fit scores of any shape."""
        return max((cls._at(degrees, scores.ravel()) for degrees in DEGREES), key=lambda found: found[0])[1]

    @classmethod
    def _at(cls, degrees: float, scores: Floats) -> tuple[float, Self]:
        variance, squares = 1.0, scores**2
        for _ in range(20):
            weight = (degrees + 1) / (degrees + squares / variance)
            variance = float((weight @ squares + AS_IF) / (len(squares) + AS_IF))
        constant = gammaln((degrees + 1) / 2) - gammaln(degrees / 2) - 0.5 * np.log(np.pi * degrees * variance)
        fitted = -(degrees + 1) / 2 * np.log1p(squares / variance / degrees)
        return float(len(squares) * constant + fitted.sum()), cls(degrees, float(np.sqrt(variance)))

    def normal(self, scores: Floats) -> Floats:
        """Return scores as standard normal ones."""
        below = stdtr(self.degrees, -np.abs(scores) / self.scale)
        return np.asarray(-np.sign(scores) * ndtri(np.maximum(below, 1e-15)))


@dataclass(frozen=True)
class Views:
    """The two ways in which a stream is looked at: alone, and without what the others share on a day.

    Args:
        own: Tail of scores.
        rest: Tail of what is left of them.
        shared: What a stream takes of the mean of the others, (n_streams,).
    """

    own: Tail
    rest: Tail
    shared: Floats

    @classmethod
    def of(cls, scores: Floats) -> Self:
        """Learn from scores of a reference, (n_blocks, n_streams)."""
        others = mean_of_others(scores)
        spread = (others**2).sum(axis=0) + SHRINKAGE * np.maximum(others.var(axis=0), 1e-9)
        shared = (scores * others).sum(axis=0) / spread
        return cls(Tail.of(scores), Tail.of(scores - shared * others), np.asarray(shared))

    def look(self, scores: Floats) -> Floats:
        """Return (n_streams, 2) standard normal scores of one block's, (n_streams,)."""
        rest = scores - self.shared * mean_of_others(scores[None])[0]
        return np.stack([self.own.normal(scores), self.rest.normal(rest)], axis=1)

    def scales(self) -> Floats:
        """Return how many units of the forecast one unit of each view is, (2,)."""
        return np.array([self.own.scale, self.rest.scale])


def mean_of_others(scores: Floats) -> Floats:
    """Return the mean of all other streams in each block, both (n_blocks, n_streams); 0 where there is none."""
    others = max(scores.shape[1] - 1, 1)
    return np.asarray((scores.sum(axis=1, keepdims=True) - scores) / others)
