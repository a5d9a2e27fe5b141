import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.distributions import NO_COUNTS, Distribution, binomial
from deploy.verdict.guards import Guard
from deploy.verdict.spending import NOTHING_SPENT, OVERTIME, Spending

LOOKS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 60)), max_size=20)


@settings(deadline=None, max_examples=60)
@given(LOOKS)
def test_the_books_are_kept_and_survive_json(looks: list[tuple[int, int]]) -> None:
    guard = Guard()
    for canary, baseline in looks:
        guard, rejected = guard.take(canary, baseline, 0.2, alpha=0.05, planned=200)
        assert guard.spending.spent <= 0.04 + 1e-12
        assert sum(guard.spending.null.chances) + guard.spending.spent == pytest.approx(1, abs=1e-9)
        assert Guard.from_json(json.loads(json.dumps(guard.to_json()))) == guard
        if rejected:
            break


@settings(deadline=None, max_examples=60)
@given(LOOKS)
def test_an_empty_look_changes_nothing(looks: list[tuple[int, int]]) -> None:
    plain, with_empty = Guard(), Guard()
    for canary, baseline in looks:
        plain, rejected = plain.take(canary, baseline, 0.2, alpha=0.05, planned=200)
        with_empty, _ = with_empty.take(canary, baseline, 0.2, alpha=0.05, planned=200)
        again, said = with_empty.take(0, 0, 0.2, alpha=0.05, planned=200)
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
            state, rejected = state.take(found, 8, binomial(8, 0.3), alpha=0.2, planned=80)
            if rejected:
                rejections += 1
                break
        else:
            spent = state.spent
    assert rejections / runs == pytest.approx(spent, abs=0.03)


def test_the_test_ends_so_that_the_null_distribution_does_not_grow_for_ever() -> None:
    state = NOTHING_SPENT
    for _ in range(500):
        state, _ = state.take(20, 100, binomial(100, 0.2), alpha=0.04, planned=100)
    assert len(state.null.chances) < 400
    assert state.counted > OVERTIME * 100
    assert state.found == 500 * 20


def test_nothing_found_is_never_rejected() -> None:
    state, rejected = Spending().take(0, 1, Distribution(0, (1.0,)), alpha=0.5, planned=1)
    assert not rejected
    assert state.null == NO_COUNTS
