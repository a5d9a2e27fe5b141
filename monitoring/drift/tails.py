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
SCALES = np.array([0.6, 0.68, 0.76, 0.84, 0.92, 1.0, 1.09, 1.2, 1.35, 1.55])
SHAPES = np.array([(degrees, scale) for degrees in DEGREES for scale in SCALES])
# Before anything was seen scores are thought standard, give or take a sixth, with tails of any weight.
PRIOR = -0.5 * (np.log(SHAPES[:, 1]) / 0.15) ** 2
ALIKE = 0.5  # scores of one block resemble each other: each counts as half a score
NEGLIGIBLE = 1e-3  # weight of a shape
SHRINKAGE = 5.0  # blocks' worth of evidence that a stream shares nothing with the others
SMALLEST = 1e-15


@dataclass
class Tail:
    """The distribution of scores: `log_weights` (n_shapes,) says how each shape is believed."""

    log_weights: Floats

    @classmethod
    def of(cls, scores: Floats) -> Self:
        """Learn from scores of any shape."""
        tail = cls(PRIOR.copy())
        tail.learn(scores)
        return tail

    def learn(self, scores: Floats) -> None:
        """Weigh the shapes anew by how well they foretold `scores`."""
        degrees, scale = SHAPES[:, 0], SHAPES[:, 1]
        constant = gammaln((degrees + 1) / 2) - gammaln(degrees / 2) - 0.5 * np.log(np.pi * degrees) - np.log(scale)
        squares = scores.ravel()[:, None] ** 2
        fitted = (degrees + 1) / 2 * np.log1p(squares / (degrees * scale**2)).sum(axis=0)
        self.log_weights = self.log_weights + ALIKE * (squares.size * constant - fitted)
        self.log_weights -= self.log_weights.max()

    def normal(self, scores: Floats) -> Floats:
        """Return scores as standard normal ones."""
        weights = np.exp(self.log_weights)
        kept = weights > NEGLIGIBLE * weights.max()
        part, shapes = weights[kept] / weights[kept].sum(), SHAPES[kept]
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
    """

    own: Tail
    rest: Tail
    columns: npt.NDArray[np.int64]
    shared: Floats

    @classmethod
    def of(cls, scores: Floats, columns: npt.NDArray[np.int64]) -> Self:
        """Learn from scores of a reference, (n_blocks, n_streams)."""
        others = mean_of_others(scores, columns)
        spread = (others**2).sum(axis=0) + SHRINKAGE * np.maximum(others.var(axis=0), 1e-9)
        shared = (scores * others).sum(axis=0) / spread
        return cls(Tail.of(scores), Tail.of(scores - shared * others), columns, np.asarray(shared))

    def look(self, forecast: Forecast) -> "Looked":
        """Look at one block in both ways, and learn from it."""
        shared = self.shared * mean_of_others(forecast.score[None], self.columns)[0]
        rest = forecast.score - shared
        scores = np.stack([self.own.normal(forecast.score), self.rest.normal(rest)], axis=1)
        surprises = np.stack([forecast.surprise, forecast.surprise - shared * forecast.deviation], axis=1)
        scales = forecast.deviation[:, None] * np.array([self.own.scale, self.rest.scale])
        self.own.learn(forecast.score)
        self.rest.learn(rest)
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
    of_column = np.equal.outer(np.arange(columns.max() + 1), columns).astype(np.float64)
    sums, streams = scores @ of_column.T, of_column.sum(axis=1)
    others = np.maximum(len(columns) - streams, 1)
    return np.asarray(((scores.sum(axis=1, keepdims=True) - sums) / others)[:, columns])
