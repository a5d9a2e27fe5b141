"""The last change of a daily mean: found where there is one, seldom where there is none."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flywheel.statistics import Floats
from monitoring.retraining.changes import SHORTEST, last_change


def noise(days: int, seed: int, phi: float = 0.0) -> Floats:
    random = np.random.default_rng(seed)
    made = random.normal(0, 1, days)
    for day in range(1, days):
        made[day] += phi * made[day - 1]
    return np.asarray(made * np.sqrt(1 - phi**2))


def test_a_step_of_two_sd_is_found_within_a_few_days() -> None:
    places = []
    for seed in range(50):
        series = noise(200, seed)
        series[130:] += 2
        places.append(last_change(series) or 0)
    assert np.mean(np.abs(np.array(places) - 130) <= 5) >= 0.9


def test_calm_series_have_seldom_a_change_even_when_days_hang_together() -> None:
    for phi, most in ((0.0, 0.06), (0.5, 0.12)):
        false = [last_change(noise(200, seed, phi)) is not None for seed in range(200)]
        assert np.mean(false) <= most


def test_of_two_changes_the_later_counts() -> None:
    series = noise(240, 1)
    series[80:160] += 3
    assert abs((last_change(series) or 0) - 160) <= 3


def test_days_without_a_value_keep_their_place() -> None:
    series = noise(200, 2)
    series[130:] += 3
    series[[5, 60, 61, 62, 140]] = np.nan
    assert abs((last_change(series) or 0) - 130) <= 3


@given(st.lists(st.floats(-1e3, 1e3), max_size=120))
def test_a_change_leaves_the_shortest_segment_on_both_sides(values: list[float]) -> None:
    found = last_change(np.array(values))
    assert found is None or SHORTEST <= found <= len(values) - SHORTEST


def test_a_constant_has_no_change() -> None:
    assert last_change(np.full(100, 0.3)) is None
