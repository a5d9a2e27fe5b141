"""The engine on errors alone: what is never a pass, what is found at once, and how often it is wrong."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict import NOTHING, Call, Judged, Judging, Look, StepLook, judging
from deploy.verdict.readings import Metric
from deploy.verdict_plan import PlanSpec

ALPHA = 0.05


def errors(*steps: int, margin: float = 0.01, ratio: float = 1.01) -> dict[str, Metric]:
    """Return a plan of errors alone; with so small a ratio the rise of the rate decides."""
    metric = {"kind": "errors", "part": 1.0, "margin": margin, "ratio": ratio}
    plan = {"steps": steps, "alpha": ALPHA, "metrics": {"errors": metric}}
    return PlanSpec.model_validate(plan).build()


def take(now: Judging, step: int, *looks: Look) -> Judged:
    for look in looks:
        now, _ = now.take(StepLook(step, {"errors": look}))
    return now.judged


def draw(random_: random.Random, requests: int, rate: float) -> int:
    return sum(random_.random() < rate for _ in range(requests))


def simulate(seed: int, steps: tuple[int, ...], rates: tuple[float, float], looks: int = 30) -> Call:
    """Play a rollout of 200 requests a look until it is decided; return the last call."""
    random_, now, step = random.Random(seed), judging(errors(*steps)), 0  # noqa: S311 - a simulation, no secret
    for _ in range(looks):
        canary = draw(random_, 200, steps[step] / 100)
        failed = draw(random_, canary, rates[0]), draw(random_, 200 - canary, rates[1])
        now, judged = now.take(StepLook(step, {"errors": Look(canary, failed[0], 200 - canary, failed[1])}))
        if judged.call is Call.PROMOTE and step + 1 < len(steps):
            step += 1
        elif judged.call is not Call.NOT_YET:
            return judged.call
    return Call.NOT_YET


def share_of(call: Call, rates: tuple[float, float], runs: int, *steps: int) -> float:
    return sum(simulate(seed, steps, rates) is call for seed in range(runs)) / runs


@pytest.mark.parametrize("look", [NOTHING, Look(0, 0, 100_000, 0), Look(100_000, 0, 0, 0)])
def test_no_traffic_in_an_arm_is_never_a_pass(look: Look) -> None:
    assert take(judging(errors(10, 50)), 0, look).call is Call.NOT_YET


def test_hardly_any_canary_traffic_opens_no_gate() -> None:
    assert take(judging(errors(10, 50)), 0, Look(1, 0, 1_000_000, 0)).call is Call.NOT_YET


def test_without_errors_the_gate_opens_after_some_four_requests_to_the_canary_per_margin() -> None:
    now, canary = judging(errors(10)), 0
    while now.judged.call is not Call.PROMOTE:
        now, _ = now.take(StepLook(0, {"errors": Look(10, 0, 90, 0)}))
        canary += 10
    assert 3 / 0.01 <= canary <= 5 / 0.01


def test_a_canary_that_always_fails_is_rolled_back_after_a_handful_of_requests() -> None:
    judged = take(judging(errors(10, 50)), 0, Look(5, 5, 45, 0))
    assert judged.call is Call.ROLL_BACK
    assert "5 of 5 requests to the canary failed" in judged.reason


def test_healthy_canaries_are_rolled_back_within_alpha() -> None:
    assert share_of(Call.ROLL_BACK, (0.02, 0.02), 200, 10, 50) <= ALPHA + 0.03


def test_canaries_that_are_worse_by_the_margin_are_promoted_within_alpha() -> None:
    assert share_of(Call.PROMOTE, (0.03, 0.02), 200, 50) <= ALPHA + 0.03


def test_an_obviously_bad_canary_is_always_rolled_back() -> None:
    assert share_of(Call.ROLL_BACK, (0.3, 0.01), 40, 10, 50) == 1


def test_a_canary_without_errors_is_always_promoted() -> None:
    assert share_of(Call.PROMOTE, (0.0, 0.0), 40, 10, 50) == 1


COUNTS = st.tuples(st.integers(1, 300), st.integers(0, 300), st.integers(1, 300), st.integers(0, 300)).map(
    lambda found: Look(found[0], min(found[1], found[0]), found[2], min(found[3], found[2]))
)


@settings(deadline=None)
@given(COUNTS.filter(lambda look: look.canary_errors < look.canary_requests))
def test_more_canary_errors_never_help(look: Look) -> None:
    worse = replace(look, canary_errors=look.canary_errors + 1)
    calls = [take(judging(errors(50)), 0, one).call for one in (look, worse)]
    order = [Call.PROMOTE, Call.NOT_YET, Call.ROLL_BACK]
    assert order.index(calls[0]) <= order.index(calls[1])


@pytest.mark.parametrize("counts", [(1, 2, 1, 0), (1, 0, 1, 2), (-1, 0, 1, 0), (1, -1, 1, 0)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="counts more errors than requests"):
        Look(*counts)


def test_in_an_outage_of_both_arms_no_gate_opens() -> None:
    metric = {"kind": "errors", "part": 1.0, "margin": 0.2, "ratio": 1.5, "ceiling": 0.1}
    plan = PlanSpec.model_validate({"steps": (50,), "alpha": ALPHA, "metrics": {"errors": metric}}).build()
    assert take(judging(plan), 0, Look(2000, 1000, 2000, 1000)).call is Call.NOT_YET
    assert take(judging(plan), 0, Look(2000, 100, 2000, 100)).call is Call.PROMOTE
