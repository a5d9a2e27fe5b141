"""Latency: the share of requests slower than the champion's p90 and p99, two thresholds fixed before the start.

Both, because p99 alone misses a uniform slow-down and p50 misses the tail. Slow requests come in bursts: a process that
stops for a moment makes all of its requests slow at once, and a test that takes each for itself was wrong in half of
the rollouts with such stops. So a block of looks, of some seconds, is one piece of evidence, whatever happened in it.

In each block stands y, the part of the canary's requests that was slow, and z, the champion's. At any ratio r of the
two that is tolerated E(y) ≤ r E(z), so a bet λ on y - r z multiplies what it owns by a factor whose expectation is at
most 1: an e-process, valid at every look (Waudby-Smith & Ramdas, arXiv 2010.09686, with an average over bets in the
place of one that adapts). Both parts are cut, r times as high for the canary as for the champion, so that
the bet may be large although shares are small; a cut is concave, and the canary, which has fewer requests and so the
wider spread, loses more by it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploy.verdict.looks import NOTHING, Look
from deploy.verdict.mixture import sum_exp

# What a bet risks in a block, as parts of the most that it can lose.
BETS = (0.05, 0.1, 0.2, 0.4, 0.8)
# A share is cut at so many times the level's own.
_CUT = 3
# A block has so many slow requests of the canary, were it like the champion, at least: else the cut takes most of them.
_LEAST_SLOW = 3
# Ratios that the interval's lower end may be.
_RATIOS = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)


@dataclass(frozen=True)
class Level:
    """One threshold.

    Args:
        seconds: A request that took longer is slow.
        part: Part of the metric's α (0 to 1); the parts of all levels sum to one.
        share: Part of the champion's requests that is slow, about (0 to 1).
        tolerance: Ratio of the shares of slow requests that is no harm; 1 tolerates nothing.
    """

    seconds: float
    part: float
    share: float
    tolerance: float = 1.0

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ratios of the shares that are asked about, rising."""
        return tuple(sorted({*_RATIOS, self.tolerance}))

    @property
    def least_requests(self) -> int:
        """Of each arm in a block."""
        return math.ceil(_LEAST_SLOW / self.share)


@dataclass(frozen=True)
class SlowLook:
    """Requests of both arms, by level: those that took longer are the look's errors.

    Args:
        levels: In the order of the plan's.
        seconds: That the look is of; one that does not say is a block by itself.
    """

    levels: tuple[Look, ...]
    seconds: float = math.inf

    def plus(self, other: "SlowLook") -> "SlowLook":
        """Add two looks."""
        levels = tuple(one.plus(two) for one, two in zip(self.levels, other.levels, strict=True))
        return SlowLook(levels, self.seconds + other.seconds)


def levels(champion: Sequence[float]) -> tuple[Level, Level]:
    """Return p90 and p99 of the champion's durations (seconds), measured before the start.

    Raises:
        ValueError: Fewer than 100 durations say nothing of a p99.
    """
    if len(champion) < 100:
        raise ValueError(f"{len(champion)} durations of the champion are too few for its p99; at least 100 are needed.")
    ordered = sorted(champion)
    p90, p99 = (ordered[math.ceil(part * len(ordered)) - 1] for part in (0.9, 0.99))
    return split(p90, p99)


def split(p90: float, p99: float, tolerance: float = 1.0) -> tuple[Level, Level]:
    """Return the levels of two thresholds (seconds), with the parts of α of METHODS, "Several guards"."""
    return Level(p90, 1 / 3, 0.1, tolerance), Level(p99, 2 / 3, 0.01, tolerance)


def slow(found: tuple[Level, ...], canary: Sequence[float], baseline: Sequence[float]) -> SlowLook:
    """Count the slow requests of one look, whose durations are in seconds."""
    return SlowLook(
        tuple(
            Look(len(canary), _over(level, canary), len(baseline), _over(level, baseline))  # by its arms' requests
            for level in found
        )
    )


@dataclass(frozen=True)
class Slowness:
    """What one level knows after some looks.

    Args:
        logs: Logarithm of what each of BETS owns, by the level's ratios.
        pending: Requests of the block that is not full.
        waiting: Seconds in it.
        blocks: Blocks so far.
        low: The ratio of the shares is above this, as was shown at some look; 0 while nothing was.
    """

    logs: tuple[tuple[float, ...], ...]
    pending: Look = NOTHING
    waiting: float = 0.0
    blocks: int = 0
    low: float = 0.0

    def take(self, level: Level, look: Look, seconds: float, *, block: float, alpha: float) -> "Slowness":
        """Take in one look.

        Args:
            level: The threshold, fixed before the start.
            look: Requests of both arms, the slow ones being its errors.
            seconds: That the look is of.
            block: Seconds of a block at least; it waits for more where the arms have too few requests.
            alpha: The metric's α, which its levels share.
        """
        pending, waiting = self.pending.plus(look), self.waiting + seconds
        least = min(pending.canary_requests, pending.baseline_requests)
        if waiting < block or least < level.least_requests:
            return replace(self, pending=pending, waiting=waiting)
        logs = tuple(_laid(log, pending, ratio, level) for log, ratio in zip(self.logs, level.ratios, strict=True))
        shown = [
            ratio for log, ratio in zip(logs, level.ratios, strict=True) if _owned(log) >= 1 / (alpha * level.part)
        ]
        return Slowness(logs, blocks=self.blocks + 1, low=max([self.low, *shown]))

    def evidence(self, level: Level) -> float:
        """Return the e-value against "the ratio of the shares is tolerated"."""
        return _owned(self.logs[level.ratios.index(level.tolerance)])

    def restarted(self) -> "Slowness":
        """Leave out the block that is not full."""
        return replace(self, pending=NOTHING, waiting=0.0)


def fresh(level: Level) -> Slowness:
    """Return the state before the first look."""
    return Slowness(((0.0,) * len(BETS),) * len(level.ratios))


def _laid(logs: tuple[float, ...], block: Look, ratio: float, level: Level) -> tuple[float, ...]:
    cut = _CUT * level.share
    canary = min(block.canary_errors / block.canary_requests, ratio * cut)
    baseline = min(block.baseline_errors / block.baseline_requests, cut)
    lead = (canary - ratio * baseline) / (ratio * cut)  # -1 to 1
    return tuple(log + math.log1p(bet * lead) for bet, log in zip(BETS, logs, strict=True))


def _owned(logs: tuple[float, ...]) -> float:
    return sum_exp(list(logs)) / len(BETS)


def _over(level: Level, durations: Sequence[float]) -> int:
    return sum(duration > level.seconds for duration in durations)
