import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.experiments.differences import ANY_LIFT, NOTHING_KNOWN, difference, errors, lift
from deploy.experiments.sequence import Boundary
from deploy.experiments.sums import Sums

BOUNDARY = Boundary(0.05, 10_000)
SUMS = st.builds(Sums, st.integers(2, 10**6), st.floats(-100, 100), st.floats(1, 1e6))


@given(SUMS, SUMS)
def test_the_lift_leaves_0_out_exactly_when_the_difference_does(arm: Sums, control: Sums) -> None:
    gain, part = difference(arm, control, BOUNDARY), lift(arm, control, BOUNDARY)
    clear = min(abs(gain.low), abs(gain.high)) > 1e-9
    if math.isfinite(part.high) and clear:
        assert (part.low <= 0 <= part.high) == (gain.low <= 0 <= gain.high)
        assert part.low <= part.estimate <= part.high
        assert part.estimate * gain.estimate >= 0


@given(SUMS, SUMS)
def test_arms_that_change_places_turn_the_difference(arm: Sums, control: Sums) -> None:
    assert difference(arm, control, BOUNDARY).turned() == difference(control, arm, BOUNDARY)


def test_the_lift_is_that_of_the_means_and_narrow_where_they_are_sure() -> None:
    part = lift(Sums(10**6, 11.0, 1e6), Sums(10**6, 10.0, 1e6), BOUNDARY)
    assert part.estimate == pytest.approx(0.1)
    assert 0.098 < part.low < 0.1 < part.high < 0.102


def test_a_control_that_may_be_0_leaves_every_lift_open() -> None:
    assert lift(Sums(100, 1.0, 100.0), Sums(100, 0.05, 100.0), BOUNDARY) == ANY_LIFT
    assert lift(Sums(100, 1.0, 100.0), Sums(100, 0.0, 100.0), BOUNDARY) == ANY_LIFT


@pytest.mark.parametrize("arm", [Sums(), Sums(1, 3.0), Sums(50, 2.0, 0.0)])
def test_too_few_units_and_values_that_never_differ_say_nothing(arm: Sums) -> None:
    assert difference(arm, Sums(50, 2.0, 0.0), BOUNDARY) == NOTHING_KNOWN
    assert lift(arm, Sums(50, 2.0, 0.0), BOUNDARY) == ANY_LIFT


def test_a_small_arm_is_never_surer_than_both_arms_together() -> None:
    generator = np.random.default_rng(2)
    control = Sums.of(generator.normal(0, 1, 10_000))
    own, other = errors(Sums(20, 0.0, 0.0), control)
    assert own == pytest.approx(1 / math.sqrt(20), rel=0.02)
    assert other == pytest.approx(0.01, rel=0.02)
