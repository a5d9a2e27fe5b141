"""Weights of recent versions by their recent losses, for an ensemble that follows a world that changes.

Exponentially weighted forecasters whose leader may change: fixed share (Herbster and Warmuth 1998, Tracking the best
expert, Machine Learning 32; Cesa-Bianchi and Lugosi 2006, Prediction, Learning, and Games, section 5.2). Mixing the
probabilities makes log-loss 1-exp-concave (same book, section 3.3), so that with a rate of 1 a whole row's loss counts.
"""

import numpy as np

from flywheel.statistics import Floats

RATE = 0.05  # of a row's loss: rows of a day hang together, and twenty of them are about one piece of evidence
SHARE = 0.02  # of the weight, each day, to all alike: a version that was poor last month may be good next month


def updated(weights: Floats, losses: Floats, *, rate: float = RATE, share: float = SHARE) -> Floats:
    """Return the weights after one more block of known labels.

    Args:
        weights: (n_versions,), above 0, summing to 1.
        losses: (n_versions,) sums of the rows' losses in the block; NaN where a version's are not known, whose weight
            then stays.
        rate: η of the literature.
        share: α of the literature, 0 to 1.
    """
    known = np.isfinite(losses)
    if not known.any():
        return weights
    total = weights[known].sum()
    # Less the smallest: only differences matter, and exp must not vanish for all of them.
    grown = weights[known] * np.exp(-rate * (losses[known] - losses[known].min()))
    grown *= total / grown.sum()
    after = weights.copy()
    after[known] = (1 - share) * grown + share * total / known.sum()
    return after


def joined(weights: Floats, newcomer: float, most: int) -> Floats:
    """Return the weights with a newest version, of which no label is known yet; the oldest leave beyond `most`.

    Args:
        weights: (n_versions,) from the oldest to the newest; empty for the first.
        newcomer: The share of the newest, 0 to 1.
        most: How many versions are kept.
    """
    if not len(weights):
        return np.ones(1)
    kept = weights[max(0, len(weights) - most + 1) :] if most > 1 else np.empty(0)
    if not len(kept):
        return np.ones(1)
    return np.append(kept / kept.sum() * (1 - newcomer), newcomer)


def mixed(predictions: Floats, weights: Floats) -> Floats:
    """Return the weighted mean of predictions, (n_versions, n_rows) or (n_versions, n_rows, n_classes)."""
    return np.asarray(np.tensordot(weights, predictions, axes=1), dtype=np.float64)
