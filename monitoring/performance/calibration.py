"""How often 1 becomes true at a score: a curve that never falls, learned from labelled rows."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from flywheel.errors import DataError
from flywheel.statistics import Floats


@dataclass(frozen=True)
class Calibration:
    """Shares of 1 at scores, between which it is a straight line.

    Attributes:
        scores: (n_points,), rising.
        shares: (n_points,), never falling, 0 to 1.
    """

    scores: Floats
    shares: Floats

    def __call__(self, score: Floats) -> Floats:
        """Return the share of 1 to be expected at each score, (n_rows,)."""
        return np.interp(score, self.scores, self.shares)


def calibrate(score: Floats, label: Floats) -> Calibration:
    """Fit isotonic regression (Zadrozny and Elkan, KDD 2002).

    Args:
        score: (n_rows,).
        label: 0 or 1, (n_rows,).

    Raises:
        DataError: There are no rows.
    """
    if not len(score):
        raise DataError("No labelled rows to calibrate with: an estimate needs the reference sample or past outcomes.")
    scores, place = np.unique(score, return_inverse=True)
    rows = np.bincount(place).astype(np.float64)
    # Half a row of each kind at the mean share keeps an end of few rows from promising certainty.
    mean = (label.sum() + 0.5) / (len(label) + 1)
    shares = isotonic_regression(np.bincount(place, label) / rows, weights=rows).x
    blocks = np.unique(shares, return_inverse=True)[1]
    held = np.bincount(blocks, rows)[blocks]
    careful = (shares * held + mean) / (held + 1)
    # A block of few rows moves farther than the next one of many, and may pass it.
    return Calibration(scores, np.asarray(isotonic_regression(careful, weights=rows).x))
