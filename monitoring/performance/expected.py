"""Metrics before outcomes come: what they will be if 1 becomes true as often as the scores have meant so far.

Confidence-based performance estimation (CBPE): with calibrated probabilities c, the expectation of every metric over
the outcomes that are not there yet is a plain sum. It sees a shift of the inputs, and is blind to a change of what the
scores mean, so the calibration is learned anew from all outcomes known before the window (see `foresight` for what is
left of its error). Method: Bialek et al., Estimating Model Performance Under Covariate Shift Without Labels
(arXiv 2401.08348), and NannyML's documentation.
"""

import numpy as np
import numpy.typing as npt

from flywheel.statistics import SMALLEST_PROBABILITY, Floats
from flywheel.usecase import Costs


def expected_metrics(
    score: Floats,
    share: Floats,
    costs: Costs | None = None,
    decided: npt.NDArray[np.bool_] | None = None,
) -> dict[str, float]:
    """Return log_loss, roc_auc, accuracy, brier and cost as they are to be expected; empty without rows.

    Args:
        score: Probabilities of 1 as the versions answered, (n_rows,).
        share: How often 1 becomes true at such a score, as far as is known: calibrated probabilities, (n_rows,).
        costs: Of wrong decisions.
        decided: Whether 1 was decided, (n_rows,); from .5 on unless given.
    """
    if not len(score):
        return {}
    one = score >= 0.5 if decided is None else decided
    safe = np.clip(score, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    found = {
        "log_loss": float(-(share * np.log(safe) + (1 - share) * np.log1p(-safe)).mean()),
        "accuracy": float(np.where(one, share, 1 - share).mean()),
        "brier": float((share * (1 - score) ** 2 + (1 - share) * score**2).mean()),
        "roc_auc": expected_area(score, share),
    }
    if costs is not None:
        found["cost"] = float(np.where(one, (1 - share) * costs.false_positive, share * costs.false_negative).mean())
    return found


def expected_area(score: Floats, share: Floats) -> float:
    """Return the area under the ROC curve to be expected, each row being positive by its share.

    The ratio of two expectations over pairs of different rows; a row is no pair with itself.

    Args:
        score: By which rows are ranked, (n_rows,).
        share: Probability that the row is positive, 0 to 1, (n_rows,).
    """
    _, place = np.unique(score, return_inverse=True)
    positives, negatives = np.bincount(place, share), np.bincount(place, 1 - share)
    below = np.cumsum(negatives) - negatives / 2
    pairs = positives.sum() * negatives.sum()
    own = float((share * (1 - share)).sum()) / 2
    return (float(positives @ below) - own) / (float(pairs) - 2 * own) if pairs > 2 * own else 0.5
