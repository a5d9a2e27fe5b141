"""The streams are what they claim to be, both detectors see the same of them, and the goals follow from the rows."""

import math

import numpy as np
import pytest

from benchmarks.concept_drift import GOAL_STEPS, SMALL, measured_goals, null_row, step_rows
from benchmarks.concept_drift_days import day_rows
from benchmarks.concept_drift_detectors import ADWIN, DETECTORS, OURS, first
from benchmarks.concept_drift_losses import KINDS, loss_rows
from benchmarks.concept_drift_worlds import DayWorld, Step, errors


def test_a_step_has_its_two_rates_and_the_same_seed_the_same_labels_before_it() -> None:
    before, after = Step(0.5).draw(1)
    assert before.mean() == pytest.approx(0.2, abs=0.005)
    assert after.mean() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(before, Step(0.25).draw(1)[0])
    assert not np.array_equal(before, Step(0.5).draw(2)[0])


def test_a_ramp_rises_in_a_straight_line() -> None:
    _, after = Step(0.6, ramp=10_000).draw(1)
    assert after[4_500:5_500].mean() == pytest.approx(0.4, abs=0.04)
    assert after[10_000:].mean() == pytest.approx(0.6, abs=0.02)


def test_days_have_their_effects_and_their_memory() -> None:
    means = DayWorld(0.5, 0.8, days=3_000).draw(3).mean(axis=1)
    logit = np.log(means / (1 - means))
    assert logit.std() == pytest.approx(0.53, abs=0.05)  # .5, and the sampling error of 200 rows
    assert np.corrcoef(logit[1:], logit[:-1])[0, 1] == pytest.approx(0.7, abs=0.07)
    calm = DayWorld(0.0, 0.0, days=300, step=1.0).draw(3).mean(axis=1)
    assert calm[150:].mean() > calm[:150].mean() + 0.1


def test_every_detector_finds_a_large_step_and_goes_on_after_an_alarm() -> None:
    before, after = Step(0.8, before=20_000).draw(1)
    for make in DETECTORS.values():
        detector = make()
        assert detector.alarms(before) == []
        assert detector.alarms(after)[0] < 200
        assert first(detector.alarms(errors(0.2, 2_000, 9))) < 200
    assert first([]) == math.inf


def test_goals_follow_from_the_rows() -> None:
    steps = step_rows((Step(0.5, before=5_000), Step(0.8, before=5_000)), 3)
    assert sorted((row["world"], row["detector"]) for row in steps) == sorted(
        (Step(rate, before=5_000).name, name) for rate in (0.5, 0.8) for name in DETECTORS
    )
    made = [
        {"world": step.name, "detector": name, "median_delay": delay, "found_share": 0.75}
        for step in (*GOAL_STEPS, SMALL)
        for name, delay in ((OURS, 90.0), (ADWIN, 100.0))
    ]
    made[0]["median_delay"] = 120.0
    goals = {item.name: item for item in measured_goals(made, {"alarms": 0})}
    assert goals["worst_delay_vs_adwin"].value == 1.2
    assert not goals["worst_delay_vs_adwin"].met
    assert goals["found_0_22_share"].met
    assert goals["false_alarms"].met


def test_rows_without_a_change_count_alarms_for_as_many_labels() -> None:
    row = null_row("Page-Hinkley", 0.2, 1)
    assert row["alarms"] > 0
    assert row["alarms_per_ten_million"] == row["alarms"] * 100


def test_by_day_few_are_wrong_and_by_row_most() -> None:
    rows = {(row["world"], row["detector"]): row for row in day_rows(2, 5) if row["part"] == "days, no change"}
    world = DayWorld(0.3, 0.5).name
    assert rows[world, OURS]["alarms_per_year"] > 5
    assert rows[world, f"{OURS} by day"]["alarms_per_year"] < 3


def test_other_kinds_of_loss_have_the_deviation_that_is_stated() -> None:
    for kind in KINDS:
        drawn = kind.draw(np.random.default_rng(1), 400_000)
        assert drawn.std() == pytest.approx(kind.deviation, rel=0.15)  # the square of t has no finite eighth moment


def test_other_kinds_of_loss_keep_to_the_budget_and_show_a_rise() -> None:
    for row in loss_rows(12, 3):
        assert row["alarms"] < 1.5 * row["allowed"]
        assert row["median_delay_half_sd"] < 500
