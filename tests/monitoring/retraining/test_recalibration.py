"""A version's level is corrected from known labels: by how much, how fast, and on which scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import UsageError
from flywheel.statistics import Floats, row_losses
from monitoring.retraining.recalibration import Recalibration, shift, shifted

ROWS, HOW = 400, Recalibration()


def days_of(shares: list[float], seed: int = 1) -> tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return labels with these shares of 1, the oldest day first, predictions of .2, and the days' ages."""
    label = (np.random.default_rng(seed).random(ROWS * len(shares)) < np.repeat(shares, ROWS)).astype(float)
    age = np.repeat(np.arange(len(shares))[::-1] + 2, ROWS)
    return label, np.full(len(label), 0.2), age


def test_nothing_known_and_nothing_missed_move_nothing() -> None:
    none = np.empty(0)
    assert shift(none, none, np.empty(0, dtype=np.int64), HOW, task="binary") == 0
    label, prediction, age = days_of([0.2] * 20)
    assert abs(shift(label, prediction, age, HOW, task="binary")) < 0.05


def test_the_prior_holds_back_what_a_single_day_says() -> None:
    label, prediction, age = days_of([0.4])
    free = shift(label, prediction, age, Recalibration(prior_days=0), task="binary")
    held = shift(label, prediction, age, Recalibration(prior_days=7), task="binary")
    assert free > 0.8
    assert held == pytest.approx(free / 8)


def test_newer_days_count_more() -> None:
    late = shift(*days_of([0.2] * 9 + [0.5]), HOW, task="binary")
    early = shift(*days_of([0.5] + [0.2] * 9), HOW, task="binary")
    assert late > 3 * max(early, 0.01)


@pytest.mark.parametrize(("phi", "least_gain"), [(0.7, 0.005), (0.0, -0.002)])
def test_levels_that_hang_together_gain_and_levels_that_do_not_lose_little(phi: float, least_gain: float) -> None:
    random, level, shares = np.random.default_rng(5), 0.0, []
    for _ in range(200):
        level = phi * level + random.normal(0, 0.7 * np.sqrt(1 - phi**2))
        shares.append(1 / (1 + np.exp(1.4 - level)))
    label, prediction, _ = days_of(shares)
    day = np.repeat(np.arange(200), ROWS)
    corrected = prediction.copy()
    for now in range(10, 200):
        known = day <= now - 2  # a label is known a day after its event
        by = shift(label[known], prediction[known], now - day[known], HOW, task="binary")
        corrected[day == now] = shifted(prediction[day == now], by, "binary")
    before, after = (row_losses("binary", label, one).mean() for one in (prediction, corrected))
    assert before - after > least_gain


@given(st.floats(-50, 50), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_shifted_probabilities_stay_probabilities_in_their_order(by: float, values: list[float]) -> None:
    before = np.sort(np.array(values))
    after = shifted(before, by, "binary")
    assert ((after >= 0) & (after <= 1)).all()
    assert (np.diff(after) >= 0).all()


def test_numbers_are_moved_as_they_are() -> None:
    label, prediction, age = np.array([12.0, 14.0]), np.array([10.0, 12.0]), np.array([2, 2])
    assert shift(label, prediction, age, Recalibration(prior_days=0), task="regression") == 2
    assert shifted(prediction, 2.0, "regression").tolist() == [12.0, 14.0]


def test_several_classes_have_no_single_level() -> None:
    with pytest.raises(UsageError, match="several classes"):
        shifted(np.ones((2, 3)) / 3, 0.1, "multiclass")
