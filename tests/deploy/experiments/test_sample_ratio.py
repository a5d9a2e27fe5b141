import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.experiments.sample_ratio import log_evidence

HALF = {"a": 50.0, "b": 50.0}
THIRDS = {"a": 20.0, "b": 30.0, "c": 50.0}


@pytest.mark.parametrize("shares", [HALF, THIRDS])
def test_the_evidence_has_a_mean_of_one_whatever_the_number_of_units_when_shares_are_as_planned(
    shares: dict[str, float],
) -> None:
    for units in (1, 3, 6):
        total = 0.0
        for drawn in product(shares, repeat=units):
            chance = math.prod(shares[arm] / 100 for arm in drawn)
            total += chance * math.exp(log_evidence({arm: drawn.count(arm) for arm in shares}, shares))
        assert total == pytest.approx(1)


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_more_of_one_arm_than_planned_is_more_evidence(units: int, more: int) -> None:
    near = log_evidence({"a": units, "b": units + more}, HALF)
    far = log_evidence({"a": units, "b": units + 2 * more + 1}, HALF)
    assert far > near - 1e-7


def test_at_every_look_false_alarms_stay_below_alpha() -> None:
    generator, alpha, runs = np.random.default_rng(11), 0.05, 1000
    ends = np.arange(200, 20_001, 200)
    alarms = 0
    for _ in range(runs):
        there = np.cumsum(generator.binomial(200, 0.5, len(ends)))
        pairs = zip(there.tolist(), ends.tolist(), strict=True)
        alarms += any(log_evidence({"a": a, "b": n - a}, HALF) >= -math.log(alpha) for a, n in pairs)
    assert 0 < alarms / runs <= alpha


def test_52_to_48_instead_of_even_is_found_soon() -> None:
    generator, found = np.random.default_rng(12), []
    for _ in range(200):
        there, units = 0, 0
        while log_evidence({"a": there, "b": units - there}, HALF) < -math.log(0.01) and units < 100_000:
            there += int(generator.binomial(200, 0.52))
            units += 200
        found.append(units)
    assert np.median(found) < 8_000  # one test at the end, of alpha 1 % and power .8, needs 7,300
    assert max(found) < 40_000
