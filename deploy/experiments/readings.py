"""What one look says of each arm: the gain against the control, and whether the guardrails hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from deploy.experiments import adjusting
from deploy.experiments.differences import ANY_LIFT, NOTHING_KNOWN, Difference, Lift, difference, lift
from deploy.experiments.looks import Look
from deploy.experiments.plan import Experiment
from deploy.experiments.sums import Sums


class Guard(StrEnum):
    """What is known of a guardrail."""

    HELD = "held"  # shown to be worse by less than the margin
    VIOLATED = "violated"  # shown to be worse by more than the margin
    OPEN = "open"


class Standing(StrEnum):
    """What is known of an arm."""

    CONTROL = "control"
    STOP = "stop"  # a guardrail is violated
    BETTER = "better"  # shown to gain
    WORSE = "worse"  # shown to gain less than what is worth having
    OPEN = "open"


@dataclass(frozen=True)
class Guarded:
    """A guardrail in an arm.

    Args:
        name: Of the guardrail.
        state: What is known.
        harm: How much worse the arm is, with its interval.
        margin: How much worse it may be.
    """

    name: str
    state: Guard
    harm: Difference
    margin: float


@dataclass(frozen=True)
class Reading:
    """What is known of an arm.

    Args:
        arm: Its name.
        units: Units assigned to it.
        measured: Of these, how many have the metric.
        mean: Their mean, as measured.
        gain: Against the control, above 0 where the arm is better; adjusted by the covariate if there is one.
        lift: The same in parts of the control's mean.
        guardrails: In the plan's order.
        standing: What follows.
    """

    arm: str
    units: int
    measured: int
    mean: float
    gain: Difference = NOTHING_KNOWN
    lift: Lift = ANY_LIFT
    guardrails: tuple[Guarded, ...] = ()
    standing: Standing = Standing.OPEN


def readings(plan: Experiment, look: Look) -> tuple[Reading, ...]:
    """Read a look; the control first. Before each arm has its least number of units, no more than counts is known."""
    folds = _folds(plan, look, plan.metric.name)
    measured = adjusting.plain(folds)
    control, *others = (_counts(arm, look, measured) for arm in (plan.control, *plan.challengers))
    if min(sums.count for sums in measured.values()) >= plan.minimum_units:
        means = adjusting.adjusted(folds) if plan.covariate is not None else measured
        others = [_compared(plan, look, one, means) for one in others]
    return (replace(control, standing=Standing.CONTROL), *others)


def _counts(arm: str, look: Look, measured: Mapping[str, Sums]) -> Reading:
    return Reading(arm, look.units[arm], measured[arm].count, measured[arm].mean)


def _compared(plan: Experiment, look: Look, reading: Reading, means: Mapping[str, Sums]) -> Reading:
    arm, control, boundary = means[reading.arm], means[plan.control], plan.boundary(reading.arm)
    gain, part = difference(arm, control, boundary), lift(arm, control, boundary)
    if plan.metric.direction == "decrease":
        gain, part = gain.turned(), part.turned()
    guardrails = _guarded(plan, look, reading.arm)
    standing = _standing(gain, guardrails, plan.metric.margin)
    return replace(reading, gain=gain, lift=part, guardrails=guardrails, standing=standing)


def _folds(plan: Experiment, look: Look, name: str) -> dict[str, Sequence[Sums]]:
    return {arm: look.sums[name][arm] for arm in plan.shares}


def _guarded(plan: Experiment, look: Look, arm: str) -> tuple[Guarded, ...]:
    found = []
    for name, guardrail in plan.guardrails.items():
        means = adjusting.plain(_folds(plan, look, name))
        change = difference(means[arm], means[plan.control], plan.guardrail_boundary(arm))
        harm = change if guardrail.direction == "decrease" else change.turned()
        found.append(Guarded(name, _state(harm, guardrail.margin), harm, guardrail.margin))
    return tuple(found)


def _state(harm: Difference, margin: float) -> Guard:
    if harm.low > margin:
        return Guard.VIOLATED
    return Guard.HELD if harm.high < margin else Guard.OPEN


def _standing(gain: Difference, guardrails: tuple[Guarded, ...], margin: float) -> Standing:
    if any(one.state is Guard.VIOLATED for one in guardrails):
        return Standing.STOP
    if gain.high < margin:
        return Standing.WORSE
    return Standing.BETTER if gain.low > 0 else Standing.OPEN
