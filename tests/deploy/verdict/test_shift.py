import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.verdict.shift import Shift, binned, deciles, fresh

SHARE = 0.25
BINS = st.lists(st.integers(0, 50), min_size=10, max_size=10)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation, no secret


REFERENCE = seeded(0)
EDGES = deciles([REFERENCE.gauss(0, 1) for _ in range(2000)])


def warned(seed: int, moved: float) -> bool:
    random_, state = seeded(seed), fresh(len(EDGES) + 1)
    for _ in range(30):
        arms = [random_.random() < SHARE for _ in range(120)]
        canary = binned(EDGES, (random_.gauss(moved, 1) for arm in arms if arm))
        baseline = binned(EDGES, (random_.gauss(0, 1) for arm in arms if not arm))
        state = state.take(canary, baseline)
        if state.evidence(SHARE) >= 20:
            return True
    return False


def test_the_same_predictions_are_warned_of_within_alpha_at_any_look() -> None:
    runs = 300
    assert sum(warned(seed, 0.0) for seed in range(runs)) / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_predictions_that_moved_are_warned_of() -> None:
    assert sum(warned(seed, 0.4) for seed in range(30)) / 30 >= 0.9


@given(st.lists(st.tuples(BINS, BINS), max_size=6))
def test_only_sums_matter_and_they_survive_json(looks: list[tuple[list[int], list[int]]]) -> None:
    state = fresh(10)
    for canary, baseline in looks:
        state = Shift.from_json(json.loads(json.dumps(state.take(canary, baseline).to_json())))
        assert state.take([0] * 10, [0] * 10) == state
    assert state.canary == tuple(sum(canary[index] for canary, _ in looks) for index in range(10))


@given(BINS, BINS)
def test_a_new_step_keeps_what_was_known_and_starts_its_own_counts(canary: list[int], baseline: list[int]) -> None:
    state = fresh(10).take(canary, baseline)
    later = state.next_step(SHARE)
    assert later.evidence(0.5) == pytest.approx(state.evidence(SHARE))
    assert sum(later.canary) == 0


def test_predictions_fall_into_the_champions_deciles() -> None:
    edges = deciles([float(number) for number in range(100)])
    assert list(edges) == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert binned(edges, [-5, 9.9, 10, 95, 1000]) == (2, 1, 0, 0, 0, 0, 0, 0, 0, 2)
    assert deciles([1.0] * 100) == (1.0,)


def test_another_number_of_bins_is_refused() -> None:
    with pytest.raises(ValueError, match="10 bins"):
        fresh(10).take([1] * 9, [1] * 10)
