import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.means import MeanPlan
from deploy.verdict.valued import Values, ValuesPlan

PLAN = MeanPlan(low=-1, high=1, tolerance=0, margin=0.1, alpha=0.05)
LOSS, REWARD = Values(ValuesPlan(PLAN, 0.05)), Values(ValuesPlan(PLAN, 0.05, sign=-1))


def differences(seed: int, mean: float, count: int = 400) -> list[float]:
    random_ = random.Random(seed)  # noqa: S311 - a simulation, no secret
    return [mean + random_.uniform(-0.2, 0.2) for _ in range(count)]


@pytest.mark.parametrize(("metric", "worse"), [(LOSS, 0.05), (REWARD, -0.05)])
def test_a_larger_loss_and_a_smaller_reward_are_worse_and_never_the_other_way_round(
    metric: Values, worse: float
) -> None:
    assert metric.take(differences(1, worse)).reading().worse
    better = metric.take(differences(1, -worse)).reading()
    assert not better.worse
    assert better.good


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-0.9, 0.9), min_size=1, max_size=30))
def test_a_reward_is_judged_as_its_negative_is_as_a_loss_and_told_in_its_own_unit(
    values: list[float],
) -> None:
    loss, reward = LOSS.take([-value for value in values]).reading(), REWARD.take(values).reading()
    assert reward.statistic == loss.statistic
    for name, (low, high) in reward.interval.items():
        assert loss.interval[name] == pytest.approx((-high, -low))
        assert low <= sum(values) / len(values) + 1e-9
        assert sum(values) / len(values) <= high + 1e-9


def test_a_mean_that_opens_nothing_says_nothing_of_gates_and_one_waits_for_its_least_at_every_step() -> None:
    good = differences(2, 0.0)
    assert Values(ValuesPlan(PLAN, 0.05, opens=False)).take(good).reading().good is None
    waits = Values(ValuesPlan(PLAN, 0.05, least_requests=500)).take(good)
    assert waits.reading().good is False
    assert waits.take(good).reading().good is True
    assert waits.take(good).next_step().reading().good is False
    assert waits.take(good).next_step().take(good).take(good).reading().good is True
