"""Harder inputs raise the loss; only a change of what inputs mean raises its excess."""

import numpy as np
import pytest

from flywheel.statistics import Floats, row_losses
from monitoring.concept.effects import Plan
from monitoring.concept.excess import excess_losses
from monitoring.concept.finding import Verdict
from monitoring.concept.losses import LossTest
from monitoring.performance.calibration import calibrate


def world(rows: int, seed: int, *, hard: float = 0.0, meaning: float = 0.0) -> tuple[Floats, Floats]:
    """Scores, and labels that follow them: `hard` pulls scores to the middle, `meaning` shifts what they mean."""
    random = np.random.default_rng(seed)
    logit = random.normal(0, 2 * (1 - hard), rows)
    label = (random.random(rows) < 1 / (1 + np.exp(-(1.5 * logit + meaning)))).astype(np.float64)
    return label, 1 / (1 + np.exp(-logit))


REFERENCE = world(20_000, 1)
CALIBRATION = calibrate(REFERENCE[1], REFERENCE[0])


def verdicts(hard: float, meaning: float, *, excess: bool) -> list[Verdict]:
    parts = [world(5_000, 2), world(5_000, 3, hard=hard, meaning=meaning)]
    label, score = (np.concatenate(side) for side in zip(*parts, strict=True))
    losses = excess_losses(label, score, CALIBRATION) if excess else row_losses("binary", label, score)
    return [found.verdict for found in LossTest(Plan(per_false_alarm=1e6)).observe(losses)]


def test_harder_inputs_raise_the_loss_and_leave_its_excess_alone() -> None:
    assert Verdict.WORSE in verdicts(0.5, 0.0, excess=False)
    assert verdicts(0.5, 0.0, excess=True) == []


def test_another_meaning_of_the_scores_raises_both() -> None:
    assert Verdict.WORSE in verdicts(0.0, 2.0, excess=False)
    assert Verdict.WORSE in verdicts(0.0, 2.0, excess=True)


def test_on_the_reference_the_excess_is_about_nothing() -> None:
    assert excess_losses(*REFERENCE, CALIBRATION).mean() == pytest.approx(0, abs=0.005)
