"""What a guard on errors can find, before the start: its power on the evidence that a plan will bring.

Given the errors of both arms at each look, the canary's are binomial, so that the boundaries of the spending and the
chance of passing all of them are sums: nothing is simulated. How many errors there are is averaged over five equally
likely totals of a Poisson count. The hedge is left out: with it a little more is found.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from deploy.verdict.distributions import NO_COUNTS, Distribution, binomial
from deploy.verdict.schedule import Schedule
from deploy.verdict.spending import OVERTIME, boundary_of

POWER = 0.8
_HALVINGS = 14
_LEVELS, _MANY = (0.1, 0.3, 0.5, 0.7, 0.9), 200


@dataclass(frozen=True)
class Evidence:
    """Looks at one share.

    Args:
        share: The canary's share of the requests (0 to 1).
        requests: Of both arms, at each of the looks.
        looks: How many there are.
    """

    share: float
    requests: float
    looks: int

    def errors(self, rates: tuple[float, float]) -> tuple[float, float]:
        """Return the expected errors of the canary and of the champion in a look, by their error rates."""
        return self.requests * self.share * rates[0], self.requests * (1 - self.share) * rates[1]


def power(evidence: Sequence[Evidence], base_rate: float, rise: float, schedule: Schedule, alpha: float) -> float:
    """Return the chance that the guard finds a canary whose error rate is higher by `rise`.

    Args:
        evidence: In the order of the steps.
        base_rate: The champion's error rate (0 to 1).
        rise: Absolute (0 to 1); 0 gives the chance of a false rollback.
        schedule: How the guard spends α.
        alpha: The guard's α.
    """
    rates = base_rate + rise, base_rate
    mean = sum(one.looks * sum(one.errors(rates)) for one in evidence)
    parts = _parts(mean)
    return sum(_found(evidence, rates, part, schedule, alpha) for part in parts) / len(parts)


def _found(
    evidence: Sequence[Evidence], rates: tuple[float, float], part: float, schedule: Schedule, alpha: float
) -> float:
    """Return the chance when there are `part` times the expected errors."""
    null = passing = NO_COUNTS
    spent = seen = expected = counted = 0.0
    for one in (step for step in evidence for _ in range(step.looks)):
        canary, baseline = one.errors(rates)
        expected += part * (canary + baseline)
        errors = round(expected - counted)
        counted += errors
        seen += schedule.evidence(errors, one.requests)
        if seen >= OVERTIME * schedule.planned:
            break
        null = null.plus(binomial(errors, one.share))
        passing = passing.plus(_of_harm(errors, canary, baseline))
        budget = schedule.spending_share * alpha * min(1.0, seen / schedule.planned) ** schedule.pace - spent
        boundary, tail = boundary_of(null, budget)
        spent, null, passing = spent + tail, null.below(boundary), passing.below(boundary)
    return 1 - sum(passing.chances)


def smallest_rise(evidence: Sequence[Evidence], base_rate: float, schedule: Schedule, alpha: float) -> float | None:
    """Return the smallest absolute rise of the error rate that is found with a chance of POWER; None if no rise is."""
    low, high = 0.0, 1 - base_rate
    if power(evidence, base_rate, high, schedule, alpha) < POWER:
        return None
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5 if low else high / 8
        if power(evidence, base_rate, middle, schedule, alpha) < POWER:
            low = middle
        else:
            high = middle
    return high


def _of_harm(errors: int, canary: float, baseline: float) -> Distribution:
    """Return the distribution of the canary's errors, of which it has `canary` where the champion has `baseline`."""
    share = canary / (canary + baseline) if errors else 0.5
    return binomial(errors, share) if share < 1 else Distribution(errors)


def _parts(mean: float) -> tuple[float, ...]:
    """Return five equally likely totals of a Poisson count, as parts of its mean."""
    if mean == 0:
        return (1.0,)
    if mean > _MANY:
        return tuple(NormalDist(1, mean**-0.5).inv_cdf(level) for level in _LEVELS)
    totals = list[float]()
    count, chance = 0, math.exp(-mean)
    below = chance
    for level in _LEVELS:
        while below < level:
            count += 1
            chance *= mean / count
            below += chance
        totals.append(count / mean)
    return tuple(totals)
