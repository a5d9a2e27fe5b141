"""Evidence that streams have changed, as e-values that may be looked at after every block.

Each stream is bet against by Shiryaev-Roberts e-detectors (Shin, Ramdas and Rinaldo, NEJSDS 2024, section 2): the sum
over all days on which a shift may have begun of the likelihood ratio since. While nothing changes its mean grows by one
a block, so a threshold of h is passed once in h blocks at most. Detectors of several sizes, of both signs, of a stream
alone and of what is left of it when the other streams are taken out, are averaged over all streams: an average of
e-detectors is one, whatever their dependence (Vovk and Wang, Ann. Stat. 49, 2021).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flywheel.statistics import Floats
from monitoring.drift.tails import Looked

SLOPES = np.array([1.5, 3.0, -1.5, -3.0])  # first surprises, in standard deviations, that are bet on
SLOPE_WEIGHTS = np.array([3.0, 1.0, 3.0, 1.0]) / 8  # most shifts that can be found at all are small
# A sum that grows in leaps passes a threshold by far, and therefore seldom: by exp(-.583 leap) as often as the bound
# says (Siegmund, Sequential Analysis, 1985, chapter 10; Pollak, Ann. Stat. 15, 1987). Streams whose shifts fade into a
# lasting day effect leap little. So much of it is given back, which leaves room for what is learned only roughly.
OVERSHOOT = 0.583 * 0.9
# Where less than `SHORT` of a shift lasts, its evidence gathers over months, from the very days that say how long days
# last: up to `FADING` of its log is lost each block, so that a level which wanders is no shift.
SHORT, FADING = 0.4, 0.06
USUAL = 100  # blocks by which it is told what usually lasts: a shift itself looks like a day that lasts


@dataclass(frozen=True)
class Strongest:
    """Of each stream the detector with most evidence, every array (n_streams,).

    `evidence` is the log of the stream's e-value, `effect` the shift since the likeliest start in units of the stream,
    with standard error `error`, and `age` the blocks since then.
    """

    evidence: Floats
    effect: Floats
    error: Floats
    age: Floats


@dataclass
class Detectors:
    """Detectors of all streams of a kind, each (n_streams, n_views, n_slopes).

    `log_sum` is the log of the Shiryaev-Roberts sum. `log_best` is the log likelihood ratio since the likeliest start,
    `age` the blocks since it, `moved` and `certain` the weighted sum of surprises since then and its information.
    `lasting`, (n_streams,), is the part of a shift that usually is still a surprise after its first block.
    """

    log_sum: Floats
    log_best: Floats
    age: Floats
    moved: Floats
    certain: Floats
    lasting: Floats

    @classmethod
    def idle(cls, lasting: Floats, views: int) -> "Detectors":
        """Return detectors that have seen nothing of streams that usually are so `lasting`, (n_streams,)."""
        shape = (len(lasting), views, len(SLOPES))
        never, nothing = np.full(shape, -np.inf), np.zeros(shape)
        return cls(never, never.copy(), nothing, nothing.copy(), nothing.copy(), lasting)

    def step(self, looked: Looked) -> None:
        """Add a block."""
        scores, lasting = looked.scores[:, :, None], looked.lasting[:, None, None]
        self.lasting = self.lasting + (looked.lasting - self.lasting) / USUAL
        first = SLOPES * scores - SLOPES**2 / 2
        slope = SLOPES * lasting
        fading = FADING * np.maximum(1 - self.lasting / SHORT, 0.0)
        later = slope * scores - slope**2 / 2 - fading[:, None, None]
        self.log_sum = np.logaddexp(self.log_sum + later, first)
        begins = self.log_best + later < first
        self.log_best = np.where(begins, first, self.log_best + later)
        self.age = np.where(begins, 1.0, self.age + 1)
        # Generalised least squares of the shift's size on its signature: 1 on the first block, `lasting` after.
        weight = np.where(begins, 1.0, lasting) / looked.scales[:, :, None] ** 2
        self.moved = np.where(begins, 0.0, self.moved) + weight * looked.surprises[:, :, None]
        self.certain = np.where(begins, 0.0, self.certain) + weight * np.where(begins, 1.0, lasting)

    def log_evidence(self) -> Floats:
        """Return the log of each detector's e-value, with what leaps over a threshold are worth."""
        return np.asarray(self.log_sum + OVERSHOOT * np.abs(SLOPES) * self.lasting[:, None, None])

    def rest(self, streams: npt.NDArray[np.bool_]) -> None:
        """Take all evidence from streams (n_streams,) that are being learned anew."""
        self.log_sum[streams] = -np.inf
        self.log_best[streams] = -np.inf

    def fade(self, kept: float) -> None:
        """Keep this part of all evidence."""
        with np.errstate(divide="ignore"):
            self.log_sum += np.log(kept)

    def effects(self) -> Floats:
        """Return the shift since each detector's likeliest start, in units of the stream."""
        return np.asarray(self.moved / np.maximum(self.certain, 1e-300))
