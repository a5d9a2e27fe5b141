import json
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.means import Mean, MeanPlan, differences

PLAN = MeanPlan(low=-1, high=1, tolerance=0, margin=0.1)
BATCHES = st.lists(st.lists(st.floats(-1, 1), max_size=40), max_size=6)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation, no secret


def ever(runs: int, draw: Callable[[random.Random], list[float]], found: Callable[[Mean], bool]) -> float:
    """Share of runs in which one of 20 looks finds it."""
    hits = 0
    for seed in range(runs):
        random_, mean = seeded(seed), Mean()
        for _ in range(20):
            mean = mean.take(PLAN, draw(random_))
            if found(mean):
                hits += 1
                break
    return hits / runs


def within(alpha: float, runs: int) -> float:
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


def skewed(random_: random.Random, mean: float = 0.0) -> list[float]:
    """Values of a two-point law: rare and large to the bad side, so that a normal approximation would fail."""
    return [0.9 if random_.random() < 0.1 + mean else -0.1 for _ in range(25)]


RUNS = 200


def test_a_canary_that_is_not_worse_is_found_worse_within_alpha_at_any_look() -> None:
    rate = ever(RUNS, skewed, lambda mean: mean.evidence_worse(PLAN) >= 1 / PLAN.alpha)
    assert rate <= within(PLAN.alpha, RUNS)


def test_a_canary_that_is_worse_by_the_margin_is_found_good_within_alpha_at_any_look() -> None:
    rate = ever(RUNS, lambda random_: skewed(random_, 0.1), lambda mean: mean.evidence_good(PLAN) >= 1 / PLAN.alpha)
    assert rate <= within(PLAN.alpha, RUNS)


def test_both_intervals_hold_the_mean_at_all_looks_together() -> None:
    def misses(mean: Mean) -> bool:
        return not all(low <= 0 <= high for low, high in [mean.betting_interval(PLAN), mean.bernstein_interval(PLAN)])

    # Two sequences, each with its own alpha.
    assert ever(RUNS, skewed, misses) <= within(2 * PLAN.alpha, RUNS)


def test_a_mean_between_two_candidates_stays_in_the_interval() -> None:
    def misses(mean: Mean) -> bool:
        low, high = mean.betting_interval(PLAN)
        return not low <= 0.037 <= high

    assert ever(RUNS, lambda random_: skewed(random_, 0.037), misses) <= within(PLAN.alpha, RUNS)


def test_two_arms_of_the_same_law_are_found_worse_within_alpha() -> None:
    def unpaired(random_: random.Random) -> list[float]:
        arms = [[float(random_.random() < 0.1) for _ in range(size)] for size in (10, 47)]
        return differences(*arms)

    rate = ever(RUNS, unpaired, lambda mean: mean.evidence_worse(PLAN) >= 1 / PLAN.alpha)
    assert rate <= within(PLAN.alpha, RUNS)


def test_what_is_clearly_worse_and_clearly_good_is_found() -> None:
    assert ever(40, lambda random_: skewed(random_, 0.2), lambda mean: mean.evidence_worse(PLAN) >= 20) == 1
    assert ever(40, lambda random_: skewed(random_, -0.1), lambda mean: mean.evidence_good(PLAN) >= 20) == 1


def paired(random_: random.Random, correlation: float, harm: float) -> tuple[float, float]:
    """Losses of one request under both versions, clipped to 0 to 1."""
    common, own = math.sqrt(correlation), math.sqrt(1 - correlation)
    request = random_.gauss(0, 1)
    champion, canary = (0.5 + 0.15 * (common * request + own * random_.gauss(0, 1)) for _ in range(2))
    return min(max(canary + harm, 0), 1), min(max(champion, 0), 1)


def requests_until_worse(seed: int, *, pairs: bool) -> int:
    random_, mean, plan = seeded(seed), Mean(), MeanPlan(low=-1, high=1, tolerance=0, margin=0.05)
    for look in range(1, 60):
        both = [paired(random_, 0.9, 0.01) for _ in range(100)]
        other = both if pairs else [paired(random_, 0.9, 0.01) for _ in range(100)]
        values = [canary - champion for (canary, _), (_, champion) in zip(both, other, strict=True)]
        mean = mean.take(plan, values)
        if mean.evidence_worse(plan) >= 20:
            return 100 * look
    return 6000


def test_pairs_of_the_same_request_decide_far_sooner_than_two_arms() -> None:
    shadow = sorted(requests_until_worse(seed, pairs=True) for seed in range(9))[4]
    split = sorted(requests_until_worse(seed, pairs=False) for seed in range(9))[4]
    assert shadow <= split / 3


@settings(deadline=None, max_examples=60)
@given(BATCHES)
def test_looks_survive_json_and_an_empty_one_changes_nothing(batches: list[list[float]]) -> None:
    mean, carried = Mean(), Mean()
    for batch in batches:
        mean = mean.take(PLAN, batch)
        carried = Mean.from_json(json.loads(json.dumps(carried.take(PLAN, batch).take(PLAN, []).to_json())))
        assert carried == mean
        low, high = mean.bernstein_interval(PLAN)
        assert low >= -1
        assert high <= 1


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_one_value_at_a_time_sees_the_same_moments_as_a_batch(values: list[float]) -> None:
    whole, single = Mean().take(PLAN, values), Mean()
    for value in values:
        single = single.take(PLAN, [value])
    assert single.moments.total == pytest.approx(whole.moments.total)
    assert single.moments.count == whole.moments.count == len(values)


@given(st.lists(st.floats(0, 1), max_size=30), st.lists(st.floats(0, 1), max_size=30))
def test_differences_of_two_arms_use_each_value_of_the_smaller_once(left: list[float], right: list[float]) -> None:
    found = differences(left, right)
    assert len(found) == min(len(left), len(right))
    assert found == pytest.approx([-value for value in differences(right, left)])
    if left and len(right) % len(left) == 0 and right:
        expected = sum(left) / len(left) - sum(right) / len(right)
        assert sum(found) / len(found) == pytest.approx(expected)


def test_what_the_plan_cannot_hold_is_refused() -> None:
    for value in (1.2, -1.01, math.nan):
        with pytest.raises(ValueError, match="outside of"):
            Mean().take(PLAN, [value])
    with pytest.raises(ValueError, match="must rise"):
        MeanPlan(low=0, high=1, tolerance=0.3, margin=0.2)
