"""What the benchmark of experiments measures is what it says."""

import numpy as np
import pytest

from benchmarks import experiments
from benchmarks.experiments import ADJUSTED, FIXED, METHODS, OURS, PEEKED, WORLDS, measured_goals, one_run, played


def test_every_method_finds_what_cannot_be_missed_and_on_the_right_side() -> None:
    for sign in (1.0, -1.0):
        found = one_run(WORLDS[0], sign, seed=1)
        assert {method: one.right for method, one in found.items()} == dict.fromkeys(METHODS, sign > 0)
        assert found[FIXED].units == experiments.UNITS
        peeked, ours = found[PEEKED].units, found[OURS].units
        assert peeked is not None
        assert ours is not None
        assert peeked <= ours < experiments.UNITS


def test_the_effect_is_what_one_test_at_the_end_finds_in_nine_of_ten_runs() -> None:
    assert played(WORLDS[0], 1.0, 40)[METHODS.index(FIXED)]["found"] == pytest.approx(0.9, abs=0.1)


def test_the_covariate_has_the_correlation_that_is_stated() -> None:
    generator = np.random.default_rng(3)
    values = generator.normal(0, 1, experiments.UNITS)
    covariates = experiments.covariates_of(values, generator)
    assert np.corrcoef(values, covariates)[0, 1] == pytest.approx(experiments.CORRELATION, abs=0.02)


def test_a_method_that_is_wrong_too_often_misses_its_goal() -> None:
    rows = [
        {"world": world.name, "effect": times, "method": method, "found": 1.0}
        for world in WORLDS
        for times in (0.0, 1.0, 2.0)
        for method in METHODS
    ]
    goals = {one.name: one.met for one in measured_goals(rows, {"false_alarm_rate": 0.5, "median_units_52_48": 10.0})}
    assert goals["worst_false_positive_rate"] is False
    assert goals["ratio_false_alarm_rate"] is False
    assert goals["worst_power_at_twice_the_effect"] is True
    assert ADJUSTED in METHODS
