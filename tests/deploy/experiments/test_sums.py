from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.experiments.sums import Sums, together

NUMBERS = st.floats(-1e6, 1e6)
UNITS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=60)


def of(units: list[tuple[float, float]]) -> Sums:
    values = np.array(units, dtype=np.float64).reshape(-1, 2)
    return Sums.of(values[:, 0], values[:, 1])


def close(left: Sums, right: Sums) -> bool:
    scale = 1e12 * max(left.count, 1)
    return left.count == right.count and all(
        getattr(left, name) == pytest.approx(getattr(right, name), rel=1e-9, abs=1e-12 * bound)
        for name, bound in (
            ("mean", 1e6),
            ("covariate_mean", 1e6),
            ("squares", scale),
            ("covariate_squares", scale),
            ("products", scale),
        )
    )


@given(UNITS, st.lists(st.integers(0, 60), max_size=5))
def test_sums_of_parts_add_up_to_those_of_the_whole_however_it_is_cut(
    units: list[tuple[float, float]], cuts: list[int]
) -> None:
    places = [0, *sorted(cuts), len(units)]
    parts = [of(units[start:end]) for start, end in pairwise(places)]
    assert close(together(parts), of(units))


@given(UNITS, st.randoms())
def test_the_order_of_units_does_not_matter(units: list[tuple[float, float]], random: object) -> None:
    shuffled = list(units)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert close(of(shuffled), of(units))


@given(UNITS.filter(lambda units: len(units) > 1), st.floats(-3, 3), NUMBERS)
def test_adjusted_sums_are_those_of_adjusted_values(
    units: list[tuple[float, float]], slope: float, centre: float
) -> None:
    values = np.array(units)
    wanted = Sums.of(values[:, 0] - slope * (values[:, 1] - centre))
    assert close(of(units).adjusted(slope, centre), wanted)


def test_the_variance_is_that_of_a_sample() -> None:
    values = np.array([1.0, 4.0, 4.0, 9.0])
    assert Sums.of(values).variance == pytest.approx(np.var(values, ddof=1))
    assert Sums.of(values[:1]).variance == 0
