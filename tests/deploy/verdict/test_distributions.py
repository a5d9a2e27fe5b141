import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.verdict.distributions import NO_COUNTS, WIDEST, Distribution, binomial

CHANCES = st.lists(st.floats(0, 1), min_size=1, max_size=40).filter(lambda found: sum(found) > 0.1)


def normal(chances: list[float]) -> tuple[float, ...]:
    return tuple(chance / sum(chances) for chance in chances)


def exact(trials: int, chance: float, count: int) -> float:
    return math.comb(trials, count) * chance**count * (1 - chance) ** (trials - count)


@given(st.integers(0, 300), st.floats(0.01, 0.99))
def test_a_binomial_is_its_formula(trials: int, chance: float) -> None:
    found = binomial(trials, chance)
    assert sum(found.chances) == pytest.approx(1, abs=1e-9)
    for index, value in enumerate(found.chances):
        assert value == pytest.approx(exact(trials, chance, found.start + index), rel=1e-8)


@given(CHANCES, CHANCES, st.integers(0, 5), st.integers(0, 5), st.integers(1, 6))
def test_a_sum_is_what_two_loops_find(
    left: list[float], right: list[float], first: int, second: int, times: int
) -> None:
    one, two = Distribution(first, normal(left)), Distribution(second, normal(right))
    both = one.plus(two, times)
    for total in range(first + times * second, first + times * second + len(left) + times * (len(right) - 1)):
        loops = sum(
            chance * other
            for index, chance in enumerate(one.chances)
            for count, other in enumerate(two.chances)
            if first + index + times * (second + count) == total
        )
        index = total - both.start
        there = both.chances[index] if 0 <= index < len(both.chances) else 0.0
        assert there == pytest.approx(loops, abs=1e-15)


def test_binomials_add_up() -> None:
    both = binomial(400, 0.2).plus(binomial(600, 0.2))
    alone = binomial(1000, 0.2)
    for index, value in enumerate(alone.chances):
        at = alone.start + index - both.start
        assert value == pytest.approx(both.chances[at] if 0 <= at < len(both.chances) else 0.0, abs=1e-12)


def test_a_wide_distribution_keeps_its_mean_and_its_tails_grow_by_little() -> None:
    wide = NO_COUNTS
    for _ in range(40):
        wide = wide.plus(binomial(5000, 0.1))
    assert len(wide.chances) <= WIDEST
    assert wide.spacing > 1
    counts = [wide.start + index * wide.spacing for index in range(len(wide.chances))]
    mean = sum(count * chance for count, chance in zip(counts, wide.chances, strict=True))
    variance = sum((count - mean) ** 2 * chance for count, chance in zip(counts, wide.chances, strict=True))
    assert mean == pytest.approx(20_000)
    assert 18_000 < variance < 18_000 * 1.02
    exact_ = binomial(200_000, 0.1)
    for boundary in range(counts[0] + 150 * wide.spacing, 20_600, 40 * wide.spacing):
        tail = sum(exact_.chances[boundary - exact_.start :])
        assert tail < 1 - sum(wide.below(boundary).chances) < 1.25 * tail + 1e-9


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_beyond_its_mean_a_binomial_is_wider_than_the_draw_of_requests_that_it_stands_for(
    canary: int, baseline: int, data: st.DataObject
) -> None:
    requests, errors = canary + baseline, data.draw(st.integers(0, canary + baseline))
    draw = [math.comb(canary, k) * math.comb(baseline, errors - k) for k in range(errors + 1)]
    share = canary / requests
    for count in range(math.ceil(errors * share) + 1, errors + 1):
        drawn = sum(draw[count:]) / math.comb(requests, errors)
        assert drawn <= sum(exact(errors, share, k) for k in range(count, errors + 1)) + 1e-12
