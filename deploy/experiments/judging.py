"""The judgement on an experiment after a look: promote an arm, roll back, or not yet; JSON in, JSON out.

    judge_experiment(plan, looks)      what a controller calls at each look, with all looks so far

The numbers are those of the last look alone. What was ever found of the shares stands: an experiment whose units are
not assigned as planned says nothing of its arms, whatever later looks look like.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deploy.experiments.looks import Look
from deploy.experiments.plan import Experiment
from deploy.experiments.readings import Guard, Reading, Standing, readings
from deploy.experiments.sample_ratio import log_evidence
from deploy.verdict import Call


@dataclass(frozen=True)
class Ratio:
    """Whether units are assigned as planned.

    Args:
        log_evidence: Largest logarithm of the e-value at any look.
        mismatch: It reached 1/alpha.
    """

    log_evidence: float
    mismatch: bool

    @property
    def p_value(self) -> float:
        """Anytime-valid p-value."""
        return math.exp(-max(self.log_evidence, 0.0))


@dataclass(frozen=True)
class Decision:
    """What follows from the evidence.

    Args:
        call: promote (`arm`), roll back to the control, or not yet.
        reason: In words.
        arm: The arm to promote; None for the other calls.
        asks: Looking on will not help: a person has to decide.
    """

    call: Call
    reason: str
    arm: str | None = None
    asks: bool = False


@dataclass(frozen=True)
class Judgement:
    """What is known after the last look.

    Args:
        decision: What follows.
        stop: Arms that violate a guardrail, whatever the call.
        ratio: The check of the shares.
        arms: Readings, the control first.
        look: Number of the last look.
        last: The last look.
    """

    decision: Decision
    stop: tuple[str, ...]
    ratio: Ratio
    arms: tuple[Reading, ...]
    look: int
    last: Look


def judge(plan: Experiment, looks: Sequence[Look]) -> Judgement:
    """Judge an experiment by its looks, of which there is at least one."""
    last, ratio = looks[-1], _ratio(plan, looks)
    arms = readings(plan, last)
    if ratio.mismatch:
        decision = Decision(Call.NOT_YET, _mismatch(plan, last, ratio), asks=True)
        return Judgement(decision, (), ratio, arms, len(looks), last)
    stop = tuple(one.arm for one in arms if one.standing is Standing.STOP)
    return Judgement(_decide(plan, arms, last.days), stop, ratio, arms, len(looks), last)


def _ratio(plan: Experiment, looks: Sequence[Look]) -> Ratio:
    highest = max(log_evidence(look.units, plan.shares) for look in looks)
    return Ratio(highest, highest >= -math.log(plan.ratio_alpha))


def _decide(plan: Experiment, arms: Sequence[Reading], days: float | None) -> Decision:
    challengers = arms[1:]
    if all(one.standing in (Standing.STOP, Standing.WORSE) for one in challengers):
        return Decision(Call.ROLL_BACK, " ".join(_lost(plan, one) for one in challengers))
    stopped = [_lost(plan, one) for one in challengers if one.standing is Standing.STOP]
    ready = [one for one in challengers if one.standing is Standing.BETTER and _held(one)]
    if ready:
        best = max(ready, key=lambda one: one.gain.estimate)
        return Decision(Call.PROMOTE, " ".join([_won(plan, best), *stopped]), best.arm)
    if plan.maximum_days is not None and days is not None and days >= plan.maximum_days:
        waited = f"{plan.maximum_days:g} days have passed without a conclusion: keep {plan.control}, or plan anew."
        return Decision(Call.NOT_YET, " ".join([*stopped, waited]), asks=True)
    return Decision(Call.NOT_YET, " ".join([*stopped, _open(plan, arms)]))


def _held(reading: Reading) -> bool:
    return all(one.state is Guard.HELD for one in reading.guardrails)


def _mismatch(plan: Experiment, last: Look, ratio: Ratio) -> str:
    total = sum(last.units.values())
    shares = ", ".join(f"{arm} {100 * last.units[arm] / total:.2f} % of {plan.shares[arm]:g} %" for arm in plan.shares)
    return (
        f"No conclusion: units are not assigned by the planned shares ({shares}; p = {ratio.p_value:.2g})."
        " Find what loses or moves them, and start anew."
    )


def _lost(plan: Experiment, reading: Reading) -> str:
    violated = [one for one in reading.guardrails if one.state is Guard.VIOLATED]
    if violated:
        one = violated[0]
        return f"Stop {reading.arm}: {one.name} is worse by {one.harm.low:.4g} or more, and may be by {one.margin:.4g}."
    most = "no better" if reading.gain.high <= 0 else "better by too little"
    return f"{reading.arm} is {most} in {plan.metric.name}: it gains at most {reading.gain.high:.4g} a unit" + (
        f", and {plan.metric.margin:.4g} is worth having." if plan.metric.margin else "."
    )


def _won(plan: Experiment, best: Reading) -> str:
    held = ", and every guardrail holds" if best.guardrails else ""
    return f"{best.arm} gains {best.gain.low:.4g} to {best.gain.high:.4g} {plan.metric.name} a unit{held}."


def _open(plan: Experiment, arms: Sequence[Reading]) -> str:
    fewest = min(arms, key=lambda one: one.measured)
    if fewest.measured < plan.minimum_units:
        return f"{fewest.arm} has {fewest.measured:,} measured units of {plan.minimum_units:,} that are the least."
    if any(one.standing is Standing.BETTER for one in arms):
        best = max((one for one in arms if one.standing is Standing.BETTER), key=lambda one: one.gain.estimate)
        waits = ", ".join(one.name for one in best.guardrails if one.state is Guard.OPEN)
        return f"{best.arm} gains, but it is open whether {waits} holds."
    return f"Whether {plan.metric.name} gains is open."


def document(judgement: Judgement) -> dict[str, Any]:
    """Return a judgement as plain JSON values; what is infinite is null."""
    return {
        "call": judgement.decision.call.value,
        "arm": judgement.decision.arm,
        "reason": judgement.decision.reason,
        "asks": judgement.decision.asks,
        "stop": list(judgement.stop),
        "look": judgement.look,
        "at": None if judgement.last.at is None else judgement.last.at.isoformat(),
        "days": judgement.last.days,
        "contaminated_units": judgement.last.contaminated,
        "sample_ratio": {"mismatch": judgement.ratio.mismatch, "p_value": judgement.ratio.p_value},
        "arms": [_plain(asdict(one)) for one in judgement.arms],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
