"""Calibration is chosen for what it does on days that it has not seen."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.statistics import Floats
from training.evaluation.calibration import (
    calibration_bins,
    calibration_error,
    choose_calibration,
    fit_calibration,
    measure_calibration,
)
from training.evaluation.subject import Days
from training.metrics import row_losses
from training.packaging.model_code import calibrate

ROWS, DAYS = 1500, 15
DAY = np.repeat(np.arange(DAYS), ROWS // DAYS).astype(np.int64)


def draw_rows(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw labels and margins, with days that move together."""
    margin = random.normal(size=ROWS) - 0.5
    chance = 1 / (1 + np.exp(-(margin + random.normal(scale=0.2, size=DAYS)[DAY])))
    return (random.random(ROWS) < chance).astype(np.float64), margin


def probability(margin: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-margin)), dtype=np.float64)


def bent(margin: Floats) -> Floats:
    return np.where(margin < -0.5, 0.02 * probability(margin), 0.9 + 0.1 * probability(margin))


DISTORTED: dict[str, Callable[[Floats], Floats]] = {
    "calibrated": probability,
    "overconfident": lambda margin: probability(3 * margin + 1),
    "bent": bent,
}


def choices(distort: str) -> Counter[str]:
    random = np.random.default_rng(7)
    found: Counter[str] = Counter()
    for _ in range(60):
        label, margin = draw_rows(random)
        told = DISTORTED[distort](margin)
        found[str(choose_calibration("binary", label, told, DAY)["method"])] += 1
    return found


def test_calibrated_probabilities_are_mostly_left_alone() -> None:
    found = choices("calibrated")
    assert found["none"] >= 54
    assert found["isotonic"] <= 1


def test_overconfident_probabilities_get_platts_correction() -> None:
    assert choices("overconfident")["platt"] >= 57


def test_probabilities_that_no_straight_line_corrects_get_an_isotonic_one() -> None:
    assert choices("bent")["isotonic"] >= 30


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_correction_lowers_the_loss_and_keeps_the_order(method: str) -> None:
    random = np.random.default_rng(3)
    label, margin = draw_rows(random)
    told = probability(3 * margin + 1)
    corrected = calibrate(
        told, choose_calibration("binary", label, told, DAY, "platt" if method == "platt" else "isotonic")
    )
    assert row_losses("binary", label, corrected).mean() < row_losses("binary", label, told).mean() - 0.1
    order = np.argsort(told, kind="stable")
    assert (np.diff(corrected[order]) >= -1e-12).all()
    assert 0 < corrected.min() <= corrected.max() < 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), turned=st.booleans())
def test_platts_correction_never_turns_the_order_round(seed: int, turned: bool) -> None:
    random = np.random.default_rng(seed)
    label, margin = draw_rows(random)
    found = fit_calibration("platt", label, probability(-margin if turned else margin))
    assert found["a"][0] >= 0
    assert np.isfinite([found["a"][0], found["b"][0]]).all()


def test_classes_are_corrected_one_against_the_rest() -> None:
    random = np.random.default_rng(5)
    truth = random.dirichlet(np.ones(3), ROWS)
    label = np.array([random.choice(3, p=row) for row in truth]).astype(np.float64)
    sharp = truth**3 / (truth**3).sum(axis=1, keepdims=True)
    chosen = choose_calibration("multiclass", label, sharp, DAY)
    assert chosen["method"] in ("platt", "isotonic")
    corrected = calibrate(sharp, chosen)
    assert np.allclose(corrected.sum(axis=1), 1)
    assert row_losses("multiclass", label, corrected).mean() < row_losses("multiclass", label, sharp).mean()


@pytest.mark.parametrize("wish", ["platt", "isotonic"])
def test_a_class_that_validation_lacks_is_left_as_it_is(wish: str) -> None:
    prediction = np.tile([0.5, 0.3, 0.2], (100, 1))
    label = np.tile([0.0, 1.0], 50)
    chosen = choose_calibration(
        "multiclass", label, prediction, np.arange(100), "platt" if wish == "platt" else "isotonic"
    )
    assert np.isfinite(calibrate(prediction, chosen)).all()


def test_numbers_and_one_class_have_nothing_to_correct() -> None:
    day: Days = np.arange(50)
    ones = np.ones(50)
    assert choose_calibration("regression", ones * 3, ones, day) == {"method": "none"}
    assert choose_calibration("binary", ones, ones * 0.7, day, "isotonic") == {"method": "none"}


def test_the_error_is_the_mean_gap_of_the_bins() -> None:
    prediction = np.repeat([0.2, 0.8], 50)
    label = np.repeat([0.0, 1.0], 50)
    bins = calibration_bins(label, prediction)
    assert sum(part.rows for part in bins) == 100
    assert np.isclose(calibration_error(bins), 0.2)
    measured = measure_calibration("binary", label, prediction, label, {"method": "platt"})
    assert measured.error_after == 0
    assert measured.error_before is not None
    assert np.isclose(measured.error_before, 0.2)
