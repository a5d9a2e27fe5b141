import json
import random
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.distributions import NO_COUNTS, Distribution, binomial
from deploy.verdict.guards import Guard
from deploy.verdict.schedule import Schedule
from deploy.verdict.spending import NOTHING_SPENT, OVERTIME, Spending

LOOKS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 60)), max_size=20)


@settings(deadline=None, max_examples=60)
@given(LOOKS)
def test_the_books_are_kept_and_survive_json(looks: list[tuple[int, int]]) -> None:
    guard = Guard()
    for canary, baseline in looks:
        guard, rejected = guard.take(canary, baseline, 0.2, alpha=0.05, schedule=Schedule(200))
        assert guard.spending.spent <= 0.045 + 1e-12
        assert sum(guard.spending.null.chances) + guard.spending.spent == pytest.approx(1, abs=1e-9)
        assert Guard.from_json(json.loads(json.dumps(guard.to_json()))) == guard
        if rejected:
            break


@settings(deadline=None, max_examples=60)
@given(LOOKS)
def test_an_empty_look_changes_nothing(looks: list[tuple[int, int]]) -> None:
    plain, with_empty = Guard(), Guard()
    for canary, baseline in looks:
        plain, rejected = plain.take(canary, baseline, 0.2, alpha=0.05, schedule=Schedule(200))
        with_empty, _ = with_empty.take(canary, baseline, 0.2, alpha=0.05, schedule=Schedule(200))
        again, said = with_empty.take(0, 0, 0.2, alpha=0.05, schedule=Schedule(200))
        if rejected:
            break
        assert not said
        assert again.log_ratios == plain.log_ratios
        assert again.spending.found == plain.spending.found
        assert again.spending.null.chances == pytest.approx(plain.spending.null.chances, abs=1e-15)


def test_false_rejections_are_within_what_was_spent_exactly() -> None:
    # The chance of ever rejecting is what was spent: a simulation of the same schedule agrees with the books.
    random_ = random.Random(3)  # noqa: S311 - a simulation, no secret
    runs, rejections, spent = 2000, 0, 0.0
    for _ in range(runs):
        state = NOTHING_SPENT
        for _ in range(10):
            found = sum(random_.random() < 0.3 for _ in range(8))
            state, rejected = state.take(found, 8, lambda null: null.plus(binomial(8, 0.3)), alpha=0.2, planned=80)
            if rejected:
                rejections += 1
                break
        else:
            spent = state.spent
    assert rejections / runs == pytest.approx(spent, abs=0.03)


def power(ratio: float, schedule: Schedule, runs: int = 150) -> float:
    """Share of runs in which 50 looks at 20 canary requests of 200 find a ratio of error rates, the base being 1 %."""
    random_, found = random.Random(5), 0  # noqa: S311 - a simulation, no secret
    for _ in range(runs):
        guard = Guard()
        for _ in range(50):
            arms = [sum(random_.random() < rate for _ in range(n)) for n, rate in ((20, 0.01 * ratio), (180, 0.01))]
            guard, rejected = guard.take(arms[0], arms[1], 0.1, alpha=0.05, schedule=schedule, requests=200)
            if rejected:
                found += 1
                break
    return found / runs


@pytest.mark.parametrize("schedule", [Schedule(110, pace=1.0, spending_share=0.8), Schedule(10_000, by_requests=True)])
def test_a_doubled_error_rate_is_found_and_the_same_one_is_not(schedule: Schedule) -> None:
    assert power(2.0, schedule) >= 0.6
    assert power(1.0, schedule) <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5


def test_the_test_ends_so_that_the_null_distribution_does_not_grow_for_ever() -> None:
    state = NOTHING_SPENT
    for _ in range(500):
        state, _ = state.take(20, 100, lambda null: null.plus(binomial(100, 0.2)), alpha=0.04, planned=100)
    assert len(state.null.chances) < 400
    assert state.counted > OVERTIME * 100
    assert state.found == 500 * 20


def test_nothing_found_is_never_rejected() -> None:
    state, rejected = Spending().take(0, 1, lambda null: null, alpha=0.5, planned=1)
    assert not rejected
    assert state.null == NO_COUNTS


@settings(deadline=None, max_examples=60)
@given(LOOKS)
def test_the_boundary_is_where_the_count_rejects(looks: list[tuple[int, int]]) -> None:
    spending = NOTHING_SPENT
    for canary, baseline in looks:
        total = canary + baseline
        added = partial(plus_binomial, total)
        spending, rejected = spending.take(canary, total, added, alpha=0.05, planned=200)
        assert rejected == (spending.found >= spending.boundary)
        if rejected:
            break


def plus_binomial(total: int, null: Distribution) -> Distribution:
    return null.plus(binomial(total, 0.2))
