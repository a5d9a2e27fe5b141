import math
from typing import Any

import numpy as np
import pytest

from deploy.experiments.power import detectable, plan_power
from deploy.experiments.readings import readings
from flywheel.errors import UsageError
from tests.deploy.experiments.worlds import looks, plan


def test_the_effect_that_is_said_to_be_detectable_is_found_with_the_power_that_is_said() -> None:
    wanted, units, runs = plan(planned_units=4000), 4000, 400
    effect, hits = detectable(wanted, "challenger", units, deviation=1.0, power=0.8), 0
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        arms = (generator.random(units) < 0.5).astype(np.float64)
        values = generator.normal(0, 1, units) + effect * arms
        hits += readings(wanted, looks(values, np.zeros(units), arms, [units])[0])[1].gain.low > 0
    assert hits / runs == pytest.approx(0.8, abs=0.05)


def test_the_plan_says_days_and_the_smallest_effect() -> None:
    expected = {"mean": 14.0, "deviation": 7.5}
    found = plan_power(plan(expected=expected, minimum_units=1000, maximum_days=10.0), 1000, 0.8)[0]
    assert (found.minimum_days, found.horizon_days, found.units) == (2, 10, 10_000)
    error = 7.5 * math.sqrt(2 / 5000)
    assert 3.5 * error < found.detectable < 4.2 * error  # 2.8 at one look alone: the price of looking


def test_a_larger_effect_takes_fewer_days() -> None:
    days = []
    for margin in (0.2, 0.4):
        metric = {"name": "revenue", "measure": {"kind": "revenue", "cap": 1000}, "margin": margin}
        found = plan_power(plan(metric=metric, expected={"mean": 14.0, "deviation": 7.5}), 1000, 0.8)[0]
        assert found.days_for_margin is not None
        days.append(found.days_for_margin)
    assert days[0] > 3 * days[1]


def test_the_covariate_makes_it_as_much_smaller_as_its_correlation_says() -> None:
    expected = {"mean": 14.0, "deviation": 7.5, "correlation": 0.8}
    plain, adjusted = (
        plan_power(plan(expected=expected, **parts), 1000, 0.8)[0] for parts in ({}, {"covariate": dict[str, Any]()})
    )
    assert adjusted.detectable == pytest.approx(0.6 * plain.detectable)


def test_a_conversion_s_deviation_follows_from_its_mean() -> None:
    metric = {"name": "bought", "measure": {"kind": "conversion"}}
    rare, even = (plan_power(plan(metric=metric, expected={"mean": mean}), 1000, 0.8)[0] for mean in (0.01, 0.5))
    assert rare.detectable == pytest.approx(even.detectable * math.sqrt(0.01 * 0.99) / 0.5)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({}, "expected is missing"),
        ({"expected": {"mean": 14.0}}, "expected.deviation is missing"),
        ({"expected": {"mean": 1.5}, "metric": {"name": "bought"}}, "expected.mean 1.5 is no rate"),
    ],
)
def test_a_plan_that_expects_nothing_is_refused(parts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        plan_power(plan(**parts), 1000, 0.8)
