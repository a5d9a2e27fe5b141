"""The verdict on a canary: pure arithmetic on error counts that stays valid however often one looks.

Two questions, one answer. *Is it worse?* A guard on the ratio of error rates rolls back: exact conditional-binomial
error spending (0.8 α) with an e-process as the hedge that needs no plan (0.2 α). *Is it good enough?* An e-process
against "worse by at least the margin" opens each step's gate at 1/α. No traffic is never a pass.

Flows in: a Plan fixed before the start and the state so far, with the counts since the last look. Flows out: the next
state, which is plain JSON, and a Verdict. The same looks give the same verdict, so that any decision can be replayed.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

# Ratios of error rates over which the hedge averages: Lindon & Malek, NeurIPS 2022 (arXiv 2011.03567).
RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0)
SPENDING_SHARE = 0.8
# Bets x = ε/w of the gate and their prior weights: large bets end soon without errors, small ones survive some.
BETS = ((0.2, 0.1), (0.5, 0.2), (0.8, 0.3), (0.98, 0.4))
# Probabilities below this are dropped from both ends of a distribution: 1e-18 of them are beyond a double's sum.
NEGLIGIBLE = 1e-18
# The ratio of error rates that the plan wants to see with 95 % power; it sets how fast error may be spent.
PLANNED_RATIO = 2.0
NORMAL_95 = 1.645


class Call(StrEnum):
    """What the evidence says."""

    PROMOTE = "promote"  # the step's gate is open
    ROLL_BACK = "roll back"  # the canary fails more often than the champion
    NOT_YET = "not yet"


@dataclass(frozen=True)
class Plan:
    """What is fixed before the start.

    Args:
        steps: Percent of requests that go to the canary, by step.
        margin: Largest tolerated rise of the error rate, absolute (0 to 1).
        alpha: Probability of rolling back a canary that is as good as the champion, and of promoting one that is
            worse by the margin.
    """

    steps: tuple[int, ...]
    margin: float = 0.01
    alpha: float = 0.05

    @cached_property
    def planned_errors(self) -> float:
        """Errors of both arms over all steps after which the guard's share of α has been spent."""
        return sum(_errors_needed(percent / 100) for percent in self.steps)


@dataclass(frozen=True)
class Look:
    """Counts since the last look, of requests as they were randomised: a retry is not a request."""

    canary_requests: int
    canary_errors: int
    baseline_requests: int
    baseline_errors: int

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        canary = 0 <= self.canary_errors <= self.canary_requests
        if not canary or not 0 <= self.baseline_errors <= self.baseline_requests:
            raise ValueError(f"{self} counts more errors than requests, or less than none.")

    def plus(self, other: "Look") -> "Look":
        """Add two looks."""
        return Look(
            self.canary_requests + other.canary_requests,
            self.canary_errors + other.canary_errors,
            self.baseline_requests + other.baseline_requests,
            self.baseline_errors + other.baseline_errors,
        )


NOTHING = Look(0, 0, 0, 0)


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
        log_ratios: Log-likelihood ratio of each of RATIOS.
    """

    step: int = 0
    gate: Look = NOTHING
    canary_errors: int = 0
    errors: int = 0
    spent: float = 0.0
    offset: int = 0
    null: tuple[float, ...] = (1.0,)
    log_ratios: tuple[float, ...] = (0.0,) * len(RATIOS)

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
    """Return the e-value of this step against "the canary's error rate is higher by the margin or more".

    Per randomised request a canary error pays (w-ε)/w, a baseline error (1-w+ε)/(1-w), and every request e^{εδ}: its
    expectation is 1 - ε (p_canary - p_baseline), times e^{εδ}, hence at most 1 when the difference is δ or more
    (METHODS, "Services without errors"; Ville's inequality gives validity at every look). An average of e-values is
    one: Vovk & Wang, Ann. Stat. 49(3), 2021.
    """
    share = plan.steps[state.step] / 100
    gate = state.gate
    # Counted by the arm that saw less than its share: requests that the canary never saw are no evidence for it.
    requests = min(gate.canary_requests + gate.baseline_requests, gate.canary_requests / share)
    exponents = [
        math.log(weight)
        + gate.canary_errors * math.log1p(-bet)
        + gate.baseline_errors * math.log1p(bet * share / (1 - share))
        + bet * share * requests * plan.margin
        for bet, weight in BETS
    ]
    return _sum_exp(exponents)


def _guard(plan: Plan, state: State, look: Look, share: float) -> tuple[State, bool]:
    """Carry both tests of "fails no more often than the champion" over one look; True when one of them rejects."""
    canary, total = look.canary_errors, look.canary_errors + look.baseline_errors
    offset, null = _convolve(state.offset, state.null, _binomial(total, share))
    found, errors = state.canary_errors + canary, state.errors + total
    # Linear spending over the planned evidence: Lan & DeMets 1983; exact and conditional: Silva, Maro & Kulldorff,
    # Stat. Med. 2021 (10.1002/sim.9094).
    budget = SPENDING_SHARE * plan.alpha * min(1.0, errors / plan.planned_errors) - state.spent
    boundary, tail = _boundary(offset, null, budget)
    log_ratios = tuple(
        log
        + canary * math.log(_tilt(share, ratio) / share)
        + look.baseline_errors * math.log((1 - _tilt(share, ratio)) / (1 - share))
        for ratio, log in zip(RATIOS, state.log_ratios, strict=True)
    )
    state = replace(
        state,
        canary_errors=found,
        errors=errors,
        spent=state.spent + tail,
        offset=offset,
        null=null[: max(boundary - offset, 0)] or (0.0,),
        log_ratios=log_ratios,
    )
    return state, found >= boundary or _hedge(state) >= 1 / ((1 - SPENDING_SHARE) * plan.alpha)


def _boundary(offset: int, null: tuple[float, ...], budget: float) -> tuple[int, float]:
    """Return the smallest count whose tail the budget covers, and that tail's probability."""
    tail, index = 0.0, len(null)
    while index > 0 and tail + null[index - 1] <= budget:
        index -= 1
        tail += null[index]
    # Every count below what was ever possible stays possible: nothing is rejected at no errors.
    return max(offset + index, 1), tail


def _convolve(offset: int, left: tuple[float, ...], kernel: tuple[int, list[float]]) -> tuple[int, tuple[float, ...]]:
    """Convolve two distributions and drop what is negligible at both ends."""
    start, right = kernel
    result = [0.0] * (len(left) + len(right) - 1)
    for i, weight in enumerate(left):
        for j, chance in enumerate(right):
            result[i + j] += weight * chance
    low, high = 0, len(result)
    while low < high - 1 and result[low] < NEGLIGIBLE:
        low += 1
    while high > low + 1 and result[high - 1] < NEGLIGIBLE:
        high -= 1
    return offset + start + low, tuple(result[low:high])


def _binomial(trials: int, chance: float) -> tuple[int, list[float]]:
    """Return where Binomial(trials, chance) starts to matter, and its probabilities from there."""
    if trials == 0:
        return 0, [1.0]
    log_odds, whole = math.log(chance / (1 - chance)), trials * math.log1p(-chance)
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * log_odds + whole
        for k in _plausible(trials, chance)
    ]
    return _plausible(trials, chance).start, [math.exp(value) for value in logs]


def _plausible(trials: int, chance: float) -> range:
    """Return the counts within ten standard deviations of the mean; at least 30 to each side."""
    reach = max(30.0, 10 * math.sqrt(trials * chance * (1 - chance)))
    mean = trials * chance
    return range(max(0, math.floor(mean - reach)), min(trials, math.ceil(mean + reach)) + 1)


def _tilt(share: float, ratio: float) -> float:
    """Return the canary's share of all errors when its error rate is `ratio` times the champion's."""
    return ratio * share / (ratio * share + 1 - share)


def _hedge(state: State) -> float:
    return _sum_exp(list(state.log_ratios)) / len(RATIOS)


def _sum_exp(exponents: list[float]) -> float:
    """Sum of exponentials, capped where a double ends: beyond any threshold anyway."""
    return sum(math.exp(min(value, 600.0)) for value in exponents)


def _errors_needed(share: float) -> float:
    """Errors of both arms with which PLANNED_RATIO is told from 1 at 5 % and 95 % (METHODS, "Promotion": K_s)."""
    shifted = _tilt(share, PLANNED_RATIO)
    spread = math.sqrt(shifted * (1 - shifted)) + math.sqrt(share * (1 - share))
    return 1.15 * (NORMAL_95 * spread / (shifted - share)) ** 2


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
        "hedge": _hedge(state),
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
