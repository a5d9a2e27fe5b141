import json
import math
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict import NOTHING, Call, Look, Plan, State, judge, promotion_evidence, replay

PLAN = Plan(steps=(10, 50))
ONE_STEP = Plan(steps=(50,))


def draw(random_: random.Random, requests: int, rate: float) -> int:
    return sum(random_.random() < rate for _ in range(requests))


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation, no secret


def simulate(seed: int, plan: Plan, rates: tuple[float, float], looks: int = 50, per_look: int = 200) -> list[Call]:
    """Play a rollout until it is decided; return the calls of its looks, the last of which decides."""
    random_, state, calls = seeded(seed), State(), list[Call]()
    for _ in range(looks):
        share = plan.steps[state.step] / 100
        canary = sum(random_.random() < share for _ in range(per_look))
        baseline = per_look - canary
        look = Look(canary, draw(random_, canary, rates[0]), baseline, draw(random_, baseline, rates[1]))
        state, verdict = judge(plan, state, look)
        calls.append(verdict.call)
        if verdict.call is Call.ROLL_BACK:
            break
        if verdict.call is Call.PROMOTE:
            if state.step + 1 == len(plan.steps):
                break
            state = state.next_step()
    return calls


def share_of(call: Call, plan: Plan, rates: tuple[float, float], runs: int, looks: int = 30) -> float:
    return sum(simulate(seed, plan, rates, looks)[-1] is call for seed in range(runs)) / runs


def test_no_traffic_is_never_a_pass() -> None:
    for look in (NOTHING, Look(0, 0, 100_000, 0), Look(100_000, 0, 0, 0)):
        state, verdict = judge(PLAN, State(), look)
        assert verdict.call is Call.NOT_YET
        assert state == State()
        assert "never a pass" in verdict.reason


def test_hardly_any_canary_traffic_opens_no_gate() -> None:
    _, verdict = judge(PLAN, State(), Look(1, 0, 1_000_000, 0))
    assert verdict.call is Call.NOT_YET


def test_without_errors_the_gate_opens_after_about_three_requests_to_the_canary_per_margin() -> None:
    state, canary = State(), 0
    while True:
        state, verdict = judge(PLAN, state, Look(10, 0, 90, 0))
        canary += 10
        if verdict.call is Call.PROMOTE:
            break
    assert 3 / PLAN.margin <= canary <= 4 / PLAN.margin


def test_a_canary_that_always_fails_is_rolled_back_after_a_handful_of_requests() -> None:
    _, verdict = judge(PLAN, State(), Look(5, 5, 45, 0))
    assert verdict.call is Call.ROLL_BACK
    assert "5 of 5 requests to the canary failed" in verdict.reason


def test_healthy_canaries_are_rolled_back_within_alpha() -> None:
    runs = 300
    found = share_of(Call.ROLL_BACK, PLAN, (0.01, 0.01), runs)
    assert found <= PLAN.alpha + 3 * math.sqrt(PLAN.alpha * (1 - PLAN.alpha) / runs)


def test_canaries_that_are_worse_by_the_margin_are_promoted_within_alpha() -> None:
    runs = 300
    # The guard would end many of these first: the gate is judged alone.
    promoted = sum(_ever_opens(seed, 0.015, 0.005) for seed in range(runs)) / runs
    assert promoted <= ONE_STEP.alpha + 3 * math.sqrt(ONE_STEP.alpha * (1 - ONE_STEP.alpha) / runs)


def _ever_opens(seed: int, canary_rate: float, baseline_rate: float) -> bool:
    random_, state = seeded(seed), State()
    for _ in range(40):
        canary = sum(random_.random() < 0.5 for _ in range(100))
        look = Look(
            canary, draw(random_, canary, canary_rate), 100 - canary, draw(random_, 100 - canary, baseline_rate)
        )
        state = State(gate=state.gate.plus(look))
        if promotion_evidence(ONE_STEP, state) >= 1 / ONE_STEP.alpha:
            return True
    return False


def test_an_obviously_bad_canary_is_nearly_always_rolled_back() -> None:
    assert share_of(Call.ROLL_BACK, PLAN, (0.10, 0.01), 60) >= 0.95


def test_a_canary_without_errors_is_always_promoted() -> None:
    assert share_of(Call.PROMOTE, PLAN, (0.0, 0.0), 20) == 1.0


@pytest.mark.parametrize(
    ("canary", "baseline", "minute"),
    # Series by which other judges are known (METHODS): spinnaker 6278, kayenta 799 and 426.
    [([100] * 7, [1] * 7, 6), ([1, 4, 2, 3, 1], [0] * 5, 5)],
)
def test_known_misses_of_other_judges_are_found_in_time(canary: list[int], baseline: list[int], minute: int) -> None:
    state, calls = State(), list[Call]()
    for bad, good in zip(canary, baseline, strict=True):
        state, verdict = judge(ONE_STEP, state, Look(1000, bad, 1000, good))
        calls.append(verdict.call)
    assert Call.ROLL_BACK in calls[:minute]


def test_four_scattered_errors_are_not_yet_a_reason() -> None:
    state, calls = State(), list[Call]()
    for bad in (0, 1, 2, 1, 0, 0):  # kayenta 426
        state, verdict = judge(ONE_STEP, state, Look(100, bad, 100, 0))
        calls.append(verdict.call)
    assert set(calls) == {Call.NOT_YET}


LOOKS = st.builds(
    lambda canary, bad, baseline, worse: Look(canary + bad, bad, baseline + worse, worse),
    *[st.integers(0, 300), st.integers(0, 30), st.integers(0, 300), st.integers(0, 30)],
)


@settings(deadline=None, max_examples=60)
@given(st.lists(LOOKS, max_size=25))
def test_any_looks_keep_the_books_and_replay_to_the_same_verdict(looks: list[Look]) -> None:
    state, verdict = State(), None
    for look in looks:
        state, verdict = judge(PLAN, state, look)
        assert 0 <= state.spent <= 0.8 * PLAN.alpha + 1e-12
        assert all(0 <= chance <= 1 for chance in state.null)
        # What was spent and what is left of the null distribution make one.
        assert sum(state.null) + state.spent == pytest.approx(1, abs=1e-9)
        # A record survives JSON: the next look judges the same.
        assert State.from_json(json.loads(json.dumps(state.to_json()))) == state
        if verdict.call is Call.ROLL_BACK:
            break
    assert replay(PLAN, [looks[: looks.index(look) + 1] if looks else []])[0].errors <= state.errors


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(LOOKS, max_size=8), min_size=2, max_size=2))
def test_replay_from_the_record_gives_the_same_state_and_verdict(steps: list[list[Look]]) -> None:
    assert replay(PLAN, steps) == replay(PLAN, [[Look(**vars(look)) for look in looks] for looks in steps])


@given(LOOKS)
def test_more_canary_errors_never_help(look: Look) -> None:
    worse = Look(
        look.canary_requests,
        min(look.canary_errors + 1, look.canary_requests),
        look.baseline_requests,
        look.baseline_errors,
    )
    assert promotion_evidence(PLAN, State(gate=worse)) <= promotion_evidence(PLAN, State(gate=look))


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="more errors than requests"):
        Look(1, 2, 10, 0)


def test_a_look_takes_less_than_a_millisecond() -> None:
    state, looks = State(), 100
    began = time.process_time()
    for _ in range(looks):
        state, _ = judge(PLAN, state, Look(100, 2, 900, 9))
    assert (time.process_time() - began) / looks < 0.001
