"""Watching a version after its promotion, for months: has it turned bad? There is no other arm any more.

What the version may do was fixed at promotion, from its own rollout: the upper end of an interval for its rate, or for
its mean loss, times a tolerance. Against "no more than that" stands a Shiryaev-Roberts e-detector, M ← (M + 1) L with a
look's e-value L: until an alarm at M ≥ c, c looks go by on average at least (Shin, Ramdas & Rinaldo, "E-detectors",
arXiv 2203.03532), however long it has watched. An average of such detectors is one. Its memory is a few numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deploy.verdict.intervals import rate_bound
from deploy.verdict.means import Mean, MeanPlan
from deploy.verdict.mixture import RATIOS, sum_exp
from deploy.verdict.readings import Reading

# Odds of "the reference was as bad as that and nobody knew", and how much worse is still not worth an alarm.
ALPHA, TOLERANCE = 0.01, 1.25
# Bets on a mean, as parts of the most that can be laid.
BETS = (0.02, 0.05, 0.1, 0.25, 0.5)
_NOTHING = -math.inf
# A block's share is cut at so many times its bound, and has so many bad requests at the bound: one block says little.
_CUT, _LEAST_BAD = 3, 3


@dataclass(frozen=True)
class Alarms:
    """How often a version that is as good as ever may be taken for bad.

    Args:
        a_year: False alarms that are tolerated in a year.
        looks_a_year: Looks with traffic.
    """

    a_year: float = 0.1
    looks_a_year: float = 365 * 24 * 60

    @property
    def threshold(self) -> float:
        """Evidence at which to raise the alarm: looks from one false alarm to the next, on average."""
        return self.looks_a_year / self.a_year


@dataclass(frozen=True)
class RateWatch:
    """Bad requests against a rate.

    Args:
        bound: The rate that the version may have (0 to 1).
        threshold: Evidence at which to raise the alarm.
        logs: Logarithm of the detector of each of RATIOS.
        bad: Bad requests so far.
        requests: Requests so far.
        worse: The alarm was raised.
    """

    bound: float
    threshold: float
    logs: tuple[float, ...] = (_NOTHING,) * len(RATIOS)
    bad: int = 0
    requests: int = 0
    worse: bool = False

    @property
    def evidence(self) -> float:
        """The detector, averaged over RATIOS."""
        return sum_exp(list(self.logs)) / len(self.logs)

    def take(self, bad: int, requests: int) -> "RateWatch":
        """Take in one look; one without requests says nothing, and is no look.

        A bad request pays r and each request costs 1 + (r - 1) p0, so that at a rate p ≤ p0 the expectation is
        ((1 + (r - 1) p) / (1 + (r - 1) p0))^n ≤ 1.

        Raises:
            ValueError: More bad requests than requests, or less than none.
        """
        if not 0 <= bad <= requests:
            raise ValueError(f"{bad} of {requests} requests cannot be bad.")
        if requests == 0:
            return self
        logs = tuple(
            _carried(log, bad * math.log(ratio) - requests * math.log1p((ratio - 1) * self.bound))
            for ratio, log in zip(RATIOS, self.logs, strict=True)
        )
        after = replace(self, logs=logs, bad=self.bad + bad, requests=self.requests + requests)
        return replace(after, worse=self.worse or after.evidence >= self.threshold)

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        return Reading(
            self.worse,
            None,
            f"{self.bad:,} of {self.requests:,} requests since the promotion were bad; {self.bound:.3g} may be.",
            statistic={"evidence": self.evidence, "threshold": self.threshold},
            counts={"bad": self.bad, "requests": self.requests},
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return _to_json(asdict(self))

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "RateWatch":
        """Read what `to_json` wrote."""
        return cls(**_from_json(body))


@dataclass(frozen=True)
class MeanWatch:
    """Bounded values, larger being worse, against a mean.

    Args:
        low: No value is below this, by construction.
        high: No value is above this.
        bound: The mean that the version may have, between the two.
        threshold: Evidence at which to raise the alarm.
        logs: Logarithm of the detector of each of BETS.
        count: Values so far.
        total: Their sum.
        worse: The alarm was raised.
    """

    low: float
    high: float
    bound: float
    threshold: float
    logs: tuple[float, ...] = (_NOTHING,) * len(BETS)
    count: int = 0
    total: float = 0.0
    worse: bool = False

    @property
    def evidence(self) -> float:
        """The detector, averaged over BETS."""
        return sum_exp(list(self.logs)) / len(self.logs)

    def take(self, values: Sequence[float]) -> "MeanWatch":
        """Take in one look's values; no value is no look.

        A bet λ multiplies what it owns by 1 + λ (x - m), whose expectation is at most 1 when the mean is at most m
        (Waudby-Smith & Ramdas, arXiv 2010.09686).

        Raises:
            ValueError: A value is outside of the bounds.
        """
        outside = [value for value in values if not self.low <= value <= self.high]  # NaN is, too
        if outside:
            raise ValueError(f"The value {outside[0]} is outside of {self.low} to {self.high}, which was fixed.")
        if not values:
            return self
        reach = self.bound - self.low
        logs = tuple(
            _carried(log, math.fsum(math.log1p(bet * (value - self.bound) / reach) for value in values))
            for bet, log in zip(BETS, self.logs, strict=True)
        )
        after = replace(self, logs=logs, count=self.count + len(values), total=self.total + math.fsum(values))
        return replace(after, worse=self.worse or after.evidence >= self.threshold)

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        seen = f"{self.total / self.count:.4g}" if self.count else "not seen"
        return Reading(
            self.worse,
            None,
            f"The mean of {self.count:,} values since the promotion is {seen}; {self.bound:.4g} may be.",
            statistic={"evidence": self.evidence, "threshold": self.threshold},
            counts={"values": self.count},
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return _to_json(asdict(self))

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "MeanWatch":
        """Read what `to_json` wrote."""
        return cls(**_from_json(body))


@dataclass(frozen=True)
class ShareWatch:
    """Requests that come in bursts, as slow ones do, against a share: a block of looks is one piece of evidence.

    Args:
        mean: Of the blocks' shares, each cut at the watch's highest value.
        least_requests: In a block.
        bad: Bad requests of the block that is not full.
        requests: Requests of it.
    """

    mean: MeanWatch
    least_requests: int
    bad: int = 0
    requests: int = 0

    @property
    def worse(self) -> bool:
        """The alarm was raised."""
        return self.mean.worse

    def take(self, bad: int, requests: int) -> "ShareWatch":
        """Take in one look.

        Raises:
            ValueError: More bad requests than requests, or less than none.
        """
        if not 0 <= bad <= requests:
            raise ValueError(f"{bad} of {requests} requests cannot be bad.")
        bad, requests = self.bad + bad, self.requests + requests
        if requests < self.least_requests:
            return replace(self, bad=bad, requests=requests)
        return replace(self, mean=self.mean.take([min(bad / requests, self.mean.high)]), bad=0, requests=0)

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        seen = f"{self.mean.total / self.mean.count:.3g}" if self.mean.count else "not seen"
        sentence = f"of {self.mean.count:,} spells since the promotion the mean share of bad requests is {seen}"
        return replace(self.mean.reading(), sentence=f"{sentence}; {self.mean.bound:.3g} may be.")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "mean": self.mean.to_json()}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "ShareWatch":
        """Read what `to_json` wrote."""
        return cls(**{**body, "mean": MeanWatch.from_json(body["mean"])})


def rate_watch(bad: int, requests: int, alarms: Alarms, *, tolerance: float = TOLERANCE) -> RateWatch:
    """Return the watch on a rate, from what the version did in its rollout.

    Raises:
        ValueError: There were no requests, or so many bad ones that no rate is too high.
    """
    bound = tolerance * rate_bound(bad, requests, ALPHA) if requests else 1.0
    if bound >= 1:
        raise ValueError(f"{bad} of {requests} requests in the rollout say of no rate that it is too high.")
    return RateWatch(bound, alarms.threshold)


def share_watch(bad: int, requests: int, alarms: Alarms, *, least: float, tolerance: float = TOLERANCE) -> ShareWatch:
    """Return the watch on a share of requests that come in bursts, from what the version did in its rollout.

    Args:
        bad: Bad requests in the rollout.
        requests: All of them.
        alarms: How many false ones are tolerated.
        least: The share that it may have in any case, before the tolerance (0 to 1): a short rollout sees few bursts.
        tolerance: Times the share that its rollout may have hidden.

    Raises:
        ValueError: There were no requests, or so many bad ones that no share is too high.
    """
    bound = tolerance * max(least, rate_bound(bad, requests, ALPHA)) if requests else 1.0
    if _CUT * bound >= 1:
        raise ValueError(f"{bad} of {requests} requests in the rollout say of no share that it is too high.")
    return ShareWatch(MeanWatch(0.0, _CUT * bound, bound, alarms.threshold), math.ceil(_LEAST_BAD / bound))


def mean_watch(
    values: Sequence[float], bounds: tuple[float, float], alarms: Alarms, *, tolerance: float = TOLERANCE
) -> MeanWatch:
    """Return the watch on a mean, from the values (larger is worse) that the version had in its rollout.

    The tolerance is of the distance from the lower bound.

    Raises:
        ValueError: A value is outside of the bounds, or they say of no mean that it is too high.
    """
    low, high = bounds
    margin = low + (high - low) * 0.999  # intervals alone are asked for, which go by neither mark
    plan = MeanPlan(low, high, (low + margin) / 2, margin, alpha=2 * ALPHA)  # one side of it is ALPHA
    bound = low + tolerance * (Mean().take(plan, values).bernstein_interval(plan)[1] - low)
    if bound >= high:
        raise ValueError(f"{len(values)} values in the rollout say of no mean that it is too high.")
    return MeanWatch(low, high, bound, alarms.threshold)


def _carried(log: float, gain: float) -> float:
    """Return log((M + 1) L)."""
    return max(log, 0.0) + math.log1p(math.exp(-abs(log))) + gain


def _to_json(body: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: what has seen no look is null."""
    return {**body, "logs": [None if math.isinf(log) else log for log in body["logs"]]}


def _from_json(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "logs": tuple(_NOTHING if log is None else log for log in body["logs"])}
