"""How surprises are spread: their tails, learned for ever, and what streams have in common.

What a forecast foretells badly alarms falsely, so scores are put through the distribution that all streams of a kind
have shown so far: a mixture of Student t over a grid of degrees and scales, each weighed by how well it has foretold
scores. Few streams and blocks leave heavy tails possible, and so a single wild day is no proof. What other streams
share on a day is taken out by one coefficient a stream, learned from the reference.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtri, stdtr

from flywheel.statistics import Floats
from monitoring.drift.whitening import Forecast

DEGREES = np.array([3.0, 4.0, 5.0, 7.0, 10.0, 16.0, 30.0, 100.0])
SCALES = np.array([0.92, 1.0, 1.09, 1.2, 1.35, 1.55])  # streams that vary less than foretold lend others nothing
SHAPES = np.array([(degrees, scale) for degrees in DEGREES for scale in SCALES])
# Before anything was seen scores are thought standard, give or take a sixth, with tails rather heavy than not.
PRIOR = -0.5 * (np.log(SHAPES[:, 1]) / 0.15) ** 2 - 0.5 * np.log(SHAPES[:, 0])
ENOUGH = 64  # streams whose scores are learned from; more say the same at more cost
# Tails are learned where scores are many; of how far they go the few beyond say little, so a part stays heavy for ever.
UNKNOWN, HEAVY = 0.03, int(np.flatnonzero((SHAPES == (4.0, 1.0)).all(axis=1))[0])
NEGLIGIBLE = 1e-3  # weight of a shape
SHRINKAGE = 5.0  # blocks' worth of evidence that a stream shares nothing with the others
AS_IF = 20.0  # blocks' worth of evidence that others explain nothing of a stream
LEAST_DEVIATION = 0.05  # of scores of a stream that varies
SMALLEST = 1e-15


@dataclass
class Tail:
    """The distribution of scores: `log_weights` (n_shapes,) says how each shape is believed."""

    log_weights: Floats

    @classmethod
    def of(cls, scores: Floats) -> Self:
        """Learn from scores, (n_blocks, n_streams)."""
        tail = cls(PRIOR.copy())
        tail.learn(scores)
        return tail

    def learn(self, scores: Floats) -> None:
        """Weigh the shapes anew by how well they foretold `scores`, (n_streams,) or (n_blocks, n_streams)."""
        if not scores.size:
            return
        degrees, scale = SHAPES[:, 0], SHAPES[:, 1]
        constant = gammaln((degrees + 1) / 2) - gammaln(degrees / 2) - 0.5 * np.log(np.pi * degrees) - np.log(scale)
        streams = scores[..., :: -(-scores.shape[-1] // ENOUGH)]
        taught = streams.ravel()
        fitted = (degrees + 1) / 2 * np.log1p(taught[:, None] ** 2 / (degrees * scale**2)).sum(axis=0)
        # Scores of one block resemble each other: n of them tell less than n, and of few it is not known how much.
        alike = max(streams.shape[-1], 1) ** -0.25
        self.log_weights = self.log_weights + alike * (len(taught) * constant - fitted)
        self.log_weights -= self.log_weights.max()

    def normal(self, scores: Floats) -> Floats:
        """Return scores as standard normal ones."""
        weights = np.exp(self.log_weights)
        kept = weights > NEGLIGIBLE * weights.max()
        kept[HEAVY] = True
        part, shapes = weights[kept] / weights[kept].sum(), SHAPES[kept]
        part = (1 - UNKNOWN) * part + UNKNOWN * (np.flatnonzero(kept) == HEAVY)
        beyond = stdtr(shapes[:, 0], -np.abs(scores)[:, None] / shapes[:, 1]) @ part
        return np.asarray(-np.sign(scores) * ndtri(np.maximum(beyond, SMALLEST)))

    @property
    def scale(self) -> float:
        """The scale believed in."""
        weights = np.exp(self.log_weights)
        return float(weights @ SHAPES[:, 1] / weights.sum())


@dataclass
class Views:
    """The two ways in which a stream is looked at: alone, and without what the others share on a day.

    Args:
        own: Tail of scores.
        rest: Tail of what is left of them.
        columns: Number of each stream's column, (n_streams,): streams of one column are not held against each other.
        shared: What a stream takes of the mean of the others, (n_streams,).
        left: Standard deviation of what is left then, (n_streams,).
        varying: Which streams have varied at all, (n_streams,): the others tell nothing of tails.
    """

    own: Tail
    rest: Tail
    columns: npt.NDArray[np.int64]
    shared: Floats
    left: Floats
    varying: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, scores: Floats, columns: npt.NDArray[np.int64]) -> Self:
        """Learn from scores of a reference, (n_blocks, n_streams)."""
        others = mean_of_others(scores, columns)
        spread = (others**2).sum(axis=0) + SHRINKAGE * np.maximum(others.var(axis=0), 1e-9)
        shared = (scores * others).sum(axis=0) / spread
        rest = scores - shared * others
        left = np.sqrt(((rest**2).sum(axis=0) + AS_IF) / (len(rest) + AS_IF))
        varying = scores.std(axis=0) > LEAST_DEVIATION
        own = Tail.of(scores[:, varying])
        return cls(own, Tail.of((rest / left)[:, varying]), columns, np.asarray(shared), np.asarray(left), varying)

    def look(self, forecast: Forecast, moved: npt.NDArray[np.bool_]) -> "Looked":
        """Look at one block in both ways, and learn from it: not from streams that have `moved`, (n_streams,)."""
        usual = np.where(moved, 0.0, forecast.score)
        shared = self.shared * mean_of_others(usual[None], self.columns)[0]
        rest = (forecast.score - shared) / self.left
        scores = np.stack([self.own.normal(forecast.score), self.rest.normal(rest)], axis=1)
        surprises = np.stack([forecast.surprise, forecast.surprise - shared * forecast.deviation], axis=1)
        scales = np.stack(
            [forecast.deviation * self.own.scale, forecast.deviation * self.left * self.rest.scale], axis=1
        )
        taught = self.varying & ~moved
        self.own.learn(forecast.score[taught])
        self.rest.learn(rest[taught])
        return Looked(scores, surprises, scales, forecast.lasting)


@dataclass(frozen=True)
class Looked:
    """One block in both views, every array (n_streams, 2) but `lasting`, (n_streams,): see `Forecast`.

    `scores` are standard normal while nothing changes; `surprises` and their usual size, `scales`, are in units of the
    stream.
    """

    scores: Floats
    surprises: Floats
    scales: Floats
    lasting: Floats


def mean_of_others(scores: Floats, columns: npt.NDArray[np.int64]) -> Floats:
    """Return the mean of all streams of other columns in each block, both (n_blocks, n_streams); 0 without any."""
    total, streams = scores.sum(axis=1, keepdims=True), np.bincount(columns)
    if streams.max() == 1:
        return np.asarray((total - scores) / max(len(columns) - 1, 1))
    sums = np.stack([np.bincount(columns, weights=row) for row in scores])
    return np.asarray(((total - sums) / np.maximum(len(columns) - streams, 1))[:, columns])
