import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.guards import Guard
from deploy.verdict.power import POWER, Evidence, power, smallest_rise
from deploy.verdict.schedule import Schedule

BASE, LOOKS = 0.05, 20
SCHEDULE = Schedule(LOOKS * 100, by_requests=True, spending_share=0.99)
EVIDENCE = [Evidence(share=0.2, requests=100, looks=LOOKS)]


def found(seed: int, rise: float) -> bool:
    random_, guard = random.Random(seed), Guard()  # noqa: S311 - a simulation, no secret
    for _ in range(LOOKS):
        errors = [sum(random_.random() < rate for _ in range(n)) for n, rate in ((20, BASE + rise), (80, BASE))]
        guard, worse = guard.take(errors[0], errors[1], 0.2, alpha=0.05, schedule=SCHEDULE, requests=100)
        if worse:
            return True
    return False


@pytest.mark.parametrize("rise", [0.0, 0.03, 0.06])
def test_the_chance_of_finding_harm_is_that_of_a_simulation(rise: float) -> None:
    runs = 300
    simulated = sum(found(seed, rise) for seed in range(runs)) / runs
    computed = power(EVIDENCE, BASE, rise, SCHEDULE, 0.05)
    assert simulated == pytest.approx(computed, abs=3 * math.sqrt(max(computed * (1 - computed), 0.01) / runs) + 0.03)


def test_the_smallest_rise_is_found_as_often_as_was_said_and_half_of_it_is_not() -> None:
    rise = smallest_rise(EVIDENCE, BASE, SCHEDULE, 0.05)
    assert rise is not None
    assert power(EVIDENCE, BASE, rise, SCHEDULE, 0.05) == pytest.approx(POWER, abs=0.03)
    assert power(EVIDENCE, BASE, rise / 2, SCHEDULE, 0.05) < 0.6


def test_without_requests_no_rise_is_found_and_without_errors_of_the_champion_some_is() -> None:
    assert smallest_rise([], BASE, SCHEDULE, 0.05) is None
    assert smallest_rise([Evidence(0.01, 1, 3)], BASE, SCHEDULE, 0.05) is None
    assert smallest_rise(EVIDENCE, 0.0, SCHEDULE, 0.05) == pytest.approx(0.008, rel=0.4)


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 0.3), st.floats(0, 0.2), st.floats(0.05, 0.9))
def test_a_false_rollback_costs_no_more_than_alpha_and_more_harm_is_found_more_often(
    base: float, rise: float, share: float
) -> None:
    evidence = [Evidence(share, 200, 5)]
    schedule = Schedule(1000, by_requests=True)
    chances = [power(evidence, base, rise * factor, schedule, 0.05) for factor in (0, 1, 2)]
    assert -1e-9 <= chances[0] <= 0.045 + 1e-9
    # Errors are whole, so that a little more harm may cross a boundary later.
    assert chances[0] <= chances[2] + 0.05
    assert all(chance <= 1 + 1e-9 for chance in chances)
