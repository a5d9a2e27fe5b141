"""Before the start: how long an experiment takes, and the smallest effect that it will detect with what power.

A sequential test has at least the power to be outside of its boundary at one look, the last: with a standard error of s
there and a reach of r of them, an effect d is detected with probability Φ(d/s - r) or more. So what is said here is
what is promised; the looks before only add to it.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from deploy.experiments.measures import Conversion
from deploy.experiments.plan import Experiment
from flywheel.errors import UsageError

NORMAL = NormalDist()
LONGEST_DAYS = 3650.0


@dataclass(frozen=True)
class Power:
    """What a plan promises for one arm against the control.

    Args:
        arm: Its name.
        minimum_days: Days until each arm has its least number of units.
        horizon_days: Days that are planned: the maximum, or those of the planned units.
        units: Units of all arms by then.
        detectable: Smallest effect a unit that is detected by then with the power asked for.
        days_for_margin: Days until an effect of the margin is detected so; None without a margin, or beyond ten years.
    """

    arm: str
    minimum_days: float
    horizon_days: float
    units: float
    detectable: float
    days_for_margin: float | None


def plan_power(plan: Experiment, units_per_day: float, power: float) -> list[Power]:
    """Return what the plan promises for each arm with so many units a day of all arms.

    Raises:
        UsageError: The plan expects nothing of the metric, or something impossible.
    """
    deviation = _deviation(plan)
    minimum = 100 * plan.minimum_units / min(plan.shares.values()) / units_per_day
    horizon = max(plan.maximum_days or plan.planned / units_per_day, minimum)
    found = []
    for arm in plan.challengers:
        effect = detectable(plan, arm, horizon * units_per_day, deviation, power)
        found.append(
            Power(
                arm,
                minimum,
                horizon,
                horizon * units_per_day,
                effect,
                _days(plan, arm, units_per_day, deviation, power, minimum),
            )
        )
    return found


def detectable(plan: Experiment, arm: str, units: float, deviation: float, power: float) -> float:
    """Return the smallest effect a unit that is detected with `power` once there are so many units of all arms."""
    shares = [plan.shares[arm] / 100, plan.shares[plan.control] / 100]
    error = deviation * math.sqrt(sum(1 / (units * share) for share in shares))
    return error * (plan.boundary(arm).reach(units * sum(shares)) + NORMAL.inv_cdf(power))


def _days(
    plan: Experiment, arm: str, units_per_day: float, deviation: float, power: float, minimum: float
) -> float | None:
    """Return the days until the margin is detectable: the effect falls with time, so the day is halved out."""

    def enough(days: float) -> bool:
        return detectable(plan, arm, days * units_per_day, deviation, power) <= plan.metric.margin

    if not plan.metric.margin or not enough(LONGEST_DAYS):
        return None
    low, high = 0.0, LONGEST_DAYS
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return max(high, minimum)


def _deviation(plan: Experiment) -> float:
    expected = plan.expected
    if expected is None:
        raise UsageError(
            f"Experiment '{plan.name}': expected is missing. Say the mean (and deviation) of a unit there."
        )
    deviation = expected.deviation
    if deviation is None:
        if not isinstance(plan.metric.measure, Conversion):
            raise UsageError(
                f"Experiment '{plan.name}': expected.deviation is missing. Say it, as by last month's units."
            )
        if not 0 < expected.mean < 1:
            raise UsageError(
                f"Experiment '{plan.name}': expected.mean {expected.mean:g} is no rate. Give 0 < mean < 1."
            )
        deviation = math.sqrt(expected.mean * (1 - expected.mean))
    return deviation * (math.sqrt(1 - expected.correlation**2) if plan.covariate else 1.0)
