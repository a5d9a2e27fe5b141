import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.gates import CLOSED, Gate, Margin, expected_counts, margins
from deploy.verdict.looks import Look

ALPHA = 0.05
MARGIN = Margin(ratio=1.5, rise=0.05)


def draw(random_: random.Random, requests: int, rate: float) -> int:
    return sum(random_.random() < rate for _ in range(requests))


def opened(seed: int, canary_rate: float, baseline_rate: float, looks: int) -> int:
    """Play looks at any split; return the first at which the gate is open, 0 for none."""
    random_, gate = random.Random(seed), CLOSED  # noqa: S311 - a simulation, no secret
    for number in range(1, looks + 1):
        canary = random_.choice((20, 50, 80))  # of 100, and known before the requests are answered
        failed = draw(random_, canary, canary_rate), draw(random_, 100 - canary, baseline_rate)
        gate = gate.take(Look(canary, failed[0], 100 - canary, failed[1]), MARGIN)
        if gate.evidence(MARGIN) >= 1 / ALPHA:
            return number
    return 0


@pytest.mark.parametrize(("canary", "baseline"), [(0.15, 0.1), (0.45, 0.3), (0.06, 0.01)])
def test_a_gate_opens_within_alpha_when_the_canary_is_beyond_both_margins(canary: float, baseline: float) -> None:
    runs = 200
    rate = sum(opened(seed, canary, baseline, 40) > 0 for seed in range(runs)) / runs
    assert rate <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


@pytest.mark.parametrize(("rate", "looks"), [(0.3, 60), (0.01, 20), (0.0, 8)])
def test_a_canary_that_is_as_good_gets_through_with_errors_and_without(rate: float, looks: int) -> None:
    assert sum(opened(seed, rate, rate, looks) > 0 for seed in range(20)) >= 18


def test_the_last_step_tolerates_the_margin_and_a_quarter_of_its_share_twice_of_it() -> None:
    assert margins((5, 20), Margin(1.5, 0.002)) == (Margin(2.0, 0.004), Margin(1.5, 0.002))


def test_about_as_many_errors_as_expected_open_the_gate() -> None:
    opened_at = sorted(opened(seed, 0.3, 0.3, 100) for seed in range(40))
    assert opened_at[20] * 100 * 0.3 == pytest.approx(expected_counts(50, MARGIN, ALPHA), rel=0.5)


LOOKS = st.builds(lambda a, b, c, d: Look(a + b + 1, b, c + d + 1, d), *[st.integers(0, 99) for _ in range(4)])


@settings(max_examples=60)
@given(LOOKS, LOOKS)
def test_looks_add_up_in_any_order_and_a_canary_error_never_helps(one: Look, two: Look) -> None:
    forward, back = (CLOSED.take(first, MARGIN).take(then, MARGIN) for first, then in ((one, two), (two, one)))
    assert forward.evidence(MARGIN) == pytest.approx(back.evidence(MARGIN), rel=1e-9)
    worse = Look(one.canary_requests + 1, one.canary_errors + 1, one.baseline_requests, one.baseline_errors)
    same = Look(one.canary_requests + 1, one.canary_errors, one.baseline_requests, one.baseline_errors)
    assert CLOSED.take(worse, MARGIN).evidence(MARGIN) <= CLOSED.take(same, MARGIN).evidence(MARGIN)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_what_a_bet_on_a_request_is_worth_is_at_most_one_at_the_margin(share: float) -> None:
    """Exactly, over the four outcomes of a pair of requests, weighted as the split has them."""
    baseline = 0.02
    for canary in (baseline * MARGIN.ratio + MARGIN.rise, 0.5):
        canaries = round(1000 * share)
        pays = {(c, b): CLOSED.take(Look(canaries, c, 1000 - canaries, b), MARGIN) for c in (0, 1) for b in (0, 1)}
        for index, _ in enumerate(MARGIN.within):
            none = pays[0, 0].ratios[index]
            error = [math.exp(pays[1, 0].ratios[index] - none), math.exp(pays[0, 1].ratios[index] - none)]
            mean = (1 + canary * (error[0] - 1)) ** canaries * (1 + baseline * (error[1] - 1)) ** (1000 - canaries)
            assert math.exp(none) * mean <= 1 + 1e-9
    assert Gate() == CLOSED
