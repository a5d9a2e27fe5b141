"""One look: the state it leaves, the call, and the sentence for people."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from deploy.verdict import mixture, promotion
from deploy.verdict.distributions import Distribution
from deploy.verdict.guards import Guard
from deploy.verdict.looks import NOTHING, Look
from deploy.verdict.plan import Plan
from deploy.verdict.schedule import Schedule
from deploy.verdict.spending import Spending


class Call(StrEnum):
    """What the evidence says."""

    PROMOTE = "promote"  # the step's gate is open
    ROLL_BACK = "roll back"  # the canary fails more often than the champion
    NOT_YET = "not yet"


@dataclass(frozen=True)
class State:
    """All that a rollout's looks have left behind; plain numbers, so that JSON holds it.

    Args:
        step: The step the gate's counts belong to.
        gate: Counts of this step.
        canary_errors: Errors of the canary over all steps.
        errors: Errors of both arms over all steps.
        spent: Error probability that the guard has spent.
        offset: Number of canary errors that `null[0]` stands for.
        null: Null distribution of the canary's errors, without the paths that were stopped.
        spacing: Of the numbers that `null` stands for.
        log_ratios: Log-likelihood ratio of each of RATIOS.
    """

    step: int = 0
    gate: Look = NOTHING
    canary_errors: int = 0
    errors: int = 0
    spent: float = 0.0
    offset: int = 0
    null: tuple[float, ...] = (1.0,)
    spacing: int = 1
    log_ratios: tuple[float, ...] = mixture.NO_RATIOS

    def next_step(self) -> "State":
        """Start the next step: a new gate, while the guard keeps what it knows."""
        return replace(self, step=self.step + 1, gate=NOTHING)

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "State":
        """Read what `to_json` wrote."""
        values = {**body, "gate": Look(**body["gate"])}
        return cls(**{**values, "null": tuple(body["null"]), "log_ratios": tuple(body["log_ratios"])})


@dataclass(frozen=True)
class Verdict:
    """A call with the sentence for people and the numbers behind it."""

    call: Call
    reason: str
    numbers: dict[str, float]


def judge(plan: Plan, state: State, look: Look) -> tuple[State, Verdict]:
    """Take one look.

    Without traffic in either arm the state stays as it was: the caller hands the same counts in again, with more.

    Args:
        plan: Fixed before the start.
        state: After the last look.
        look: Counts since the last look that was taken in.

    Returns:
        The next state and the verdict.
    """
    if look.canary_requests == 0 or look.baseline_requests == 0:
        arm = "canary" if look.canary_requests == 0 else "champion"
        reason = f"No traffic has reached the {arm} since the last look, and that is never a pass."
        return state, Verdict(Call.NOT_YET, reason, _numbers(plan, state, evidence=promotion_evidence(plan, state)))
    share = plan.steps[state.step] / 100
    state, worse = _guard(plan, replace(state, gate=state.gate.plus(look)), look, share)
    numbers = _numbers(plan, state, evidence=promotion_evidence(plan, state))
    if worse:
        return state, Verdict(Call.ROLL_BACK, _worse(state), numbers)
    if numbers["evidence"] >= numbers["threshold"]:
        return state, Verdict(Call.PROMOTE, _good(plan, state), numbers)
    return state, Verdict(Call.NOT_YET, _undecided(numbers), numbers)


def replay(plan: Plan, steps: Iterable[Iterable[Look]]) -> tuple[State, Verdict | None]:
    """Judge recorded looks again, step by step.

    Returns:
        The state and the verdict after the last look; no verdict when there was none.
    """
    state, verdict = State(), None
    for number, looks in enumerate(steps):
        if number > state.step:
            state = state.next_step()
        for look in looks:
            state, verdict = judge(plan, state, look)
    return state, verdict


def promotion_evidence(plan: Plan, state: State) -> float:
    """Return the e-value of this step against "the canary's error rate is higher by the margin or more"."""
    return promotion.evidence(state.gate, plan.steps[state.step] / 100, plan.margin)


def _guard(plan: Plan, state: State, look: Look, share: float) -> tuple[State, bool]:
    """Carry both tests of "fails no more often than the champion" over one look; True when one of them rejects."""
    null = Distribution(state.offset, state.null, state.spacing)
    before = Guard(Spending(state.canary_errors, state.errors, state.spent, null, state.errors), state.log_ratios)
    schedule = Schedule(plan.planned_errors, pace=1.0, spending_share=0.8)
    after, worse = before.take(look.canary_errors, look.baseline_errors, share, alpha=plan.alpha, schedule=schedule)
    spending = after.spending
    state = replace(
        state,
        canary_errors=spending.found,
        errors=state.errors + look.canary_errors + look.baseline_errors,
        spent=spending.spent,
        offset=spending.null.start,
        null=spending.null.chances,
        spacing=spending.null.spacing,
        log_ratios=after.log_ratios,
    )
    return state, worse


def _numbers(plan: Plan, state: State, *, evidence: float) -> dict[str, float]:
    return {
        "step": state.step,
        "canary_requests": state.gate.canary_requests,
        "canary_errors": state.gate.canary_errors,
        "baseline_requests": state.gate.baseline_requests,
        "baseline_errors": state.gate.baseline_errors,
        "errors_of_canary_in_all": state.canary_errors,
        "errors_in_all": state.errors,
        "spent": state.spent,
        "hedge": mixture.evidence(state.log_ratios),
        "evidence": evidence,
        "threshold": 1 / plan.alpha,
    }


def _rates(gate: Look) -> str:
    canary = f"{gate.canary_errors} of {gate.canary_requests:,} requests to the canary failed"
    return f"{canary}, {gate.baseline_errors} of {gate.baseline_requests:,} to the champion"


def _worse(state: State) -> str:
    return f"The canary fails more often than the champion: {_rates(state.gate)} at this step."


def _good(plan: Plan, state: State) -> str:
    return f"The canary is no more than {plan.margin:.1%} worse at {plan.steps[state.step]} %: {_rates(state.gate)}."


def _undecided(numbers: dict[str, float]) -> str:
    return f"The evidence is {numbers['evidence']:.1f} of {numbers['threshold']:.0f}; more requests are needed."
