"""Return: the measured gain times the volume, less what it costs, with the interval of the gain."""

import math
from dataclasses import dataclass

from deploy.experiments.differences import Difference
from deploy.experiments.plan import Experiment, Return
from deploy.experiments.readings import Reading
from flywheel.errors import UsageError

HOURS_A_MONTH = 730.5  # of 365.25 days / 12


@dataclass(frozen=True)
class Money:
    """What an arm returns, in the plan's currency.

    Args:
        arm: Its name.
        currency: For people.
        gain: A month: estimate, lower and upper end of the interval.
        cost: A month, of serving and training.
        net: Gain less cost, a month: estimate, lower and upper end.
        once: What was spent once.
        months: Until that is paid back: by the estimate, at the best and at the worst; None where it never is.
    """

    arm: str
    currency: str
    gain: tuple[float, float, float]
    cost: float
    net: tuple[float, float, float]
    once: float
    months: tuple[float | None, float | None, float | None]


def returned(plan: Experiment, reading: Reading) -> Money:
    """Return what an arm is worth: linear in the gain, so that its interval holds whenever that of the gain does.

    Raises:
        UsageError: The plan has no section `return`, or nothing is known of the arm yet.
    """
    if plan.returns is None:
        raise UsageError(f"Experiment '{plan.name}': return is missing. Say there what the gain is worth and costs.")
    if not math.isfinite(reading.gain.high):
        raise UsageError(
            f"Experiment '{plan.name}': the gain of '{reading.arm}' is not known yet. Wait for more units."
        )
    return money(reading.arm, plan.returns, reading.gain)


def money(arm: str, wanted: Return, gain: Difference) -> Money:
    """Return what a gain by unit is worth."""
    times = wanted.units_per_month * wanted.worth
    cost = monthly_cost(wanted)
    estimate, low, high = (times * part for part in (gain.estimate, gain.low, gain.high))
    net = (estimate - cost, low - cost, high - cost)
    best_first = (net[0], net[2], net[1])
    months = tuple(_months(wanted.once, part) for part in best_first)
    return Money(arm, wanted.currency, (estimate, low, high), cost, net, wanted.once, (months[0], months[1], months[2]))


def monthly_cost(wanted: Return) -> float:
    """Return what serving and training cost in a month, over what the control costs."""
    serving, training = wanted.serving, wanted.training
    cost = serving.replicas * serving.per_hour * HOURS_A_MONTH if serving is not None else 0.0
    return cost + (training.runs_per_month * training.per_run if training is not None else 0.0)


def _months(once: float, net: float) -> float | None:
    if net <= 0:
        return None
    return once / net
