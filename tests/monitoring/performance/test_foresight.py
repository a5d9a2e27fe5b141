"""An estimate is corrected by its past errors, and says when it is not to be trusted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.performance.foresight import Past, corrections, foresee


def test_a_lasting_error_is_taken_out() -> None:
    past = [Past(0.75, 0.70)] * 9
    found = foresee(0.76, past, reference=0.75)
    assert found.value == pytest.approx(0.715)  # nine tenths of the error that each of them had
    assert found.error is not None
    assert found.error < 0.02
    assert found.error_of_constant == pytest.approx(0.05)
    assert found.trusted
    assert found.reason.startswith("Of use: its mean error in 9 earlier windows was 0.0")


def test_its_own_error_is_that_of_estimates_made_before_the_outcome() -> None:
    assert foresee(0.7, [Past(0.7, 0.6)], reference=0.7).error == pytest.approx(0.1)  # after it, half would be left
    assert foresee(0.7, [Past(0.7, 0.6)] * 2, reference=0.7).error == pytest.approx((0.1 + 0.05) / 2)


def test_without_a_past_it_says_so() -> None:
    found = foresee(0.75, [], reference=0.7)
    assert (found.value, found.low, found.error, found.trusted) == (0.75, None, None, False)
    assert "0 earlier windows have outcomes" in found.reason


def test_an_estimate_that_is_worse_than_a_constant_is_not_trusted() -> None:
    past = [Past(0.6, 0.7), Past(0.8, 0.7), Past(0.6, 0.7), Past(0.8, 0.7)]
    found = foresee(0.7, past, reference=0.7)
    assert not found.trusted
    assert found.reason.startswith("Not to be trusted here")


def test_after_concept_drift_it_is_not_trusted_whatever_its_past() -> None:
    past = [Past(0.7, 0.7)] * 9
    assert foresee(0.7, past, reference=0.6).trusted
    found = foresee(0.7, past, reference=0.6, drifted="2013-06-02")
    assert not found.trusted
    assert "since 2013-06-02" in found.reason


def test_nineteen_of_twenty_intervals_hold_what_comes() -> None:
    random, held = np.random.default_rng(4), 0
    for _ in range(400):
        realised = 0.7 + random.normal(0, 0.02, 13)
        expected = realised + random.normal(0.01, 0.03, 13)
        past = [Past(*pair) for pair in zip(expected[:-1], realised[:-1], strict=True)]
        found = foresee(float(expected[-1]), past, reference=0.7)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= realised[-1] <= found.high
    assert 0.92 < held / 400 < 0.99


@given(st.lists(st.floats(-1, 1), max_size=20))
def test_a_correction_looks_at_nothing_but_the_past(errors: list[float]) -> None:
    found = corrections(np.array(errors, dtype=np.float64))
    assert len(found) == len(errors) + 1
    for count in range(len(errors) + 1):
        assert found[count] == pytest.approx(sum(errors[:count]) / (count + 1))
