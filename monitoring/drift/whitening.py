"""What is expected of the next block of each stream, learned block by block: the whitener.

A stream is a calendar's regression, a day effect that lasts (AR(1)) and sampling noise known but for its scale;
together an ARMA(1,1) process whose noise shrinks with the rows of a block. How much of the variance is the day's, and
how long it lasts, nobody knows: a grid of both is filtered at once (Kalman, J. Basic Eng. 82, 1960), each point weighed
by what it foretold (prequential likelihood, Dawid, JRSS A 147, 1984), the scale integrated out (West and Harrison,
Bayesian Forecasting, 1997, section 4.5). The filter never stops learning, so that no estimate is taken for the truth.

Gains do not depend on what was seen, only on rows and calendar, so all streams of one kind share them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from flywheel.statistics import Floats

Singles = npt.NDArray[np.float32]

LASTING = (0.0, 0.3, 0.55, 0.75, 0.88, 0.96)
DAY_SHARES = (0.3, 0.6, 0.8, 0.92, 1.0)
LEAST_SHARES = {0.0: 0.0, 0.3: 0.15, 0.6: 0.45, 0.8: 0.7, 0.92: 0.86, 1.0: 0.96}  # that a point of the grid stands for
GRID = np.array([(0.0, 0.0)] + [(phi, share) for share in DAY_SHARES for phi in LASTING])
PHI, SHARE = GRID[:, 0], GRID[:, 1]
LEAST_SHARE = np.array([LEAST_SHARES[share] for share in SHARE.tolist()])
DOUBTFUL = 2.0  # standard deviations, beyond which a block may be an outlier
OUTLYING = 3.0  # standard deviations: what lies beyond teaches no more than this of scale and grid
SETTLED = 14  # blocks beyond those that the terms took
MEMORY = 0.99  # of scale and grid, from block to block: what days were like a year ago says little of today's
FARTHEST = 8.0  # scores beyond are all the same: what is certain needs no greater number


@dataclass(frozen=True)
class Forecast:
    """One block held against what was expected of it; every array is (n_streams,).

    `score` is standard normal while nothing changes. `surprise` is how far the block is from what was expected, and
    `deviation` how far it usually is, both in units of the stream. `lasting` is the part of a lasting shift that is
    still a surprise on the days after its first.
    """

    score: Floats
    surprise: Floats
    deviation: Floats
    lasting: Floats


@dataclass(frozen=True)
class Belief:
    """What each point of the grid had foretold of one block; kept in single precision, (n_streams, n_grid).

    `normal` are the scores of each `surprise`, `log_likelihood` is of all blocks before, `variance` is what was
    foretold, `lasting` (n_grid,).
    """

    surprise: Singles
    normal: Singles
    log_likelihood: Singles
    variance: Singles
    lasting: Floats
    present: npt.NDArray[np.bool_]

    def forecast(self, log_prior: Floats) -> Forecast:
        """Weigh the points of the grid by `log_prior` (n_grid,) and by what they have foretold so far."""
        weights = _weights(log_prior + self.log_likelihood)
        below, above = (weights * ndtr(self.normal)).sum(axis=1), (weights * ndtr(-self.normal)).sum(axis=1)
        score = np.where(below < above, ndtri(below), -ndtri(above)).clip(-FARTHEST, FARTHEST)
        surprise, variance = ((weights * part).sum(axis=1) for part in (self.surprise, self.variance))
        return Forecast(np.where(self.present, score, 0.0), surprise, np.sqrt(variance), weights @ self.lasting)


class Whitener:
    """Filters of all streams of one kind, over the grid.

    Args:
        variances: Prior variances of the regression's coefficients, in units of the stream's variance, (n_terms,).
        noise: Sampling variance of each stream in a usual block, (n_streams,): no stream varies less, and where little
            of the variance is left for days, days are small.
        terms_seen: Of how many coefficients the reference tells; each takes one degree of freedom.
    """

    def __init__(self, variances: Floats, noise: Floats, terms_seen: int) -> None:
        streams, size = len(noise), len(variances) + 1
        self.floor = noise[:, None] / (1 - LEAST_SHARE)
        self.state = np.zeros((streams, len(GRID), size))
        self.covariance = np.zeros((len(GRID), size, size))
        self.covariance[:, 0, 0] = SHARE
        diagonal = np.arange(1, size)
        self.covariance[:, diagonal, diagonal] = variances
        self.gain = np.zeros(len(GRID))
        self.doubt = np.zeros((streams, len(GRID)))
        self.squares = np.zeros((streams, len(GRID)))
        self.log_spread = np.zeros((streams, len(GRID)))
        self.count = np.full(streams, -float(terms_seen))

    def log_likelihood(self) -> Floats:
        """Return how well each point of the grid has foretold each stream so far, (n_streams, n_grid)."""
        degrees, variance = np.maximum(self.count, 0)[:, None], self._variance()
        return np.asarray(-0.5 * (self.log_spread + degrees * np.log(variance) + self.squares / variance))

    @property
    def settled(self) -> bool:
        """Whether enough was seen to call a block an outlier."""
        return bool(self.count.max() >= SETTLED)

    def _variance(self) -> Floats:
        """Return the variance of each stream for each point of the grid, (n_streams, n_grid)."""
        return np.asarray(np.maximum(self.squares / np.maximum(self.count, 1.0)[:, None], self.floor))

    def step(self, values: Floats, design: Floats, noise: float) -> Belief:
        """Hold the next block against the forecast, and learn from it.

        Args:
            values: (n_streams,); NaN where a block has none.
            design: The calendar's terms for this block, (n_terms,).
            noise: Sampling variance of this block over that of a usual one.
        """
        loading = np.concatenate(([1.0], design))
        toward = self.covariance @ loading  # (n_grid, size)
        foretold = np.maximum(toward @ loading + (1 - SHARE) * noise, 1e-9)
        gain, present = toward / foretold[:, None], np.isfinite(values)
        surprise = np.where(present, values, 0.0)[:, None] - self.state @ loading
        surprise[~present] = 0.0
        self.gain, variance = gain[:, 0].copy(), self._variance() * foretold + self.doubt
        belief = self._belief(surprise, variance, present)
        self.state += surprise[:, :, None] * gain
        self._remember(np.minimum(surprise**2, OUTLYING**2 * variance if self.settled else np.inf), foretold, present)
        # One covariance for all streams: one that has no value in a block is taken for a little more certain than it
        # is.
        self.covariance -= toward[:, :, None] * gain[:, None, :]
        self._doubt(surprise**2, variance)
        self.pass_time()
        return belief

    def _remember(self, squares: Floats, foretold: Floats, present: npt.NDArray[np.bool_]) -> None:
        """Add a block to what is known of scale and grid; the discount is West and Harrison's, section 10.8."""
        kept = np.where(present & self.settled, MEMORY, 1.0)
        self.squares = kept[:, None] * self.squares + squares / foretold
        self.log_spread = kept[:, None] * self.log_spread + np.where(present[:, None], np.log(foretold), 0.0)
        self.count = kept * self.count + present

    def _doubt(self, squares: Floats, variance: Floats) -> None:
        """Foretell less surely after an outlier, of which nobody knows whether it was noise or a day that lasts.

        The filter takes the part K of it for the day's. If that is a probability, what the outlier leaves for the next
        block varies by K(1 − K) of its square; what was in doubt before fades as errors of the filter do.
        """
        left = (PHI * (1 - self.gain)) ** 2 * self.doubt
        excess = np.maximum(squares - DOUBTFUL**2 * variance, 0.0) if self.settled else 0.0
        self.doubt = left + PHI**2 * self.gain * (1 - self.gain) * excess

    def pass_time(self) -> None:
        """Go on to the next block, whether or not this one was seen: day effects fade."""
        self.state[:, :, 0] *= PHI
        self.covariance[:, 0, :] *= PHI[:, None]
        self.covariance[:, :, 0] *= PHI[:, None]
        self.covariance[:, 0, 0] += SHARE * (1 - PHI**2)

    def settle(self, stream: int, shift: float, age: int) -> None:
        """Forget what a shift that began `age` blocks ago has put into the day effect of a stream.

        With gain K and x the day effect foretold, x' = φ(x + K(shift − x)), from 0: a geometric series.
        """
        fading = PHI * (1 - self.gain)
        self.state[stream, :, 0] -= PHI * self.gain * shift * (1 - fading**age) / (1 - fading)

    def _belief(self, surprise: Floats, variance: Floats, present: npt.NDArray[np.bool_]) -> Belief:
        degrees = np.maximum(self.count, 1.0)[:, None]
        # Wallace's normal score of a t value, Biometrika 46, 1959: within .01 from five degrees of freedom on.
        normal = (8 * degrees + 1) / (8 * degrees + 3) * np.sqrt(degrees * np.log1p(surprise**2 / variance / degrees))
        normal *= np.sign(surprise)
        lasting = (1 - PHI) / (1 - PHI * (1 - self.gain))
        return Belief(
            surprise.astype(np.float32),
            normal.astype(np.float32),
            self.log_likelihood().astype(np.float32),
            variance.astype(np.float32),
            lasting,
            present,
        )


def learned_prior(whitener: Whitener, importance: Floats, steps: int = 30) -> Floats:
    """Return log weights of the grid under which all streams of a kind together are likeliest, (n_grid,).

    Empirical Bayes by EM (Robbins 1956; Dempster, Laird and Rubin, JRSS B 39, 1977), a tenth left evenly spread.

    Args:
        whitener: After the reference.
        importance: Weight of each stream, (n_streams,), together 1.
        steps: Of EM.
    """
    likelihood, even = whitener.log_likelihood(), np.full(len(GRID), -np.log(len(GRID)))
    log_prior = even
    for _ in range(steps):
        posterior = importance @ _weights(log_prior + likelihood)
        log_prior = np.log(0.9 * posterior + 0.1 * np.exp(even))
    return np.asarray(log_prior)


def _weights(log: Floats | Singles) -> Floats:
    weights = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
