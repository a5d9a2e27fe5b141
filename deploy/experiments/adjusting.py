"""CUPED: what a unit did before the experiment is taken out of what it does in it.

Deng, Xu, Kohavi & Walker, WSDM 2013, eq. (4): Y - θ (X - E X), with θ = cov(Y, X) / var(X), has the mean of Y and
1 - corr² of its variance, when the covariate X is not touched by the arm.

θ and the centre are cross-fitted, so that the sequence stays valid: a hash of its name puts each unit into one of two
folds, and each fold is adjusted by the θ of the other (sequential sample splitting and cross-fitting, Waudby-Smith et
al., arXiv 2103.06476, section 3.1). Given the other fold, the adjusted values are then just other values of the same
units, in which θ is a constant. All of it follows from sums, so that neither looks nor the order of units matter.
"""

from collections.abc import Mapping, Sequence

from deploy.experiments.sums import Sums, together

FOLDS = 2
ByArm = Mapping[str, Sequence[Sums]]


def adjusted(arms: ByArm) -> dict[str, Sums]:
    """Return each arm's sums, adjusted by the covariate; `arms` has one item a fold."""
    fits = [_fit([folds[FOLDS - 1 - fold] for folds in arms.values()]) for fold in range(FOLDS)]
    return {
        arm: together(part.adjusted(*fit) for part, fit in zip(folds, fits, strict=True)) for arm, folds in arms.items()
    }


def plain(arms: ByArm) -> dict[str, Sums]:
    """Return each arm's sums as they are."""
    return {arm: together(folds) for arm, folds in arms.items()}


def _fit(parts: Sequence[Sums]) -> tuple[float, float]:
    """Return θ and the centre of a fold: within the arms, so that a difference between them does not count."""
    spread = sum(part.covariate_squares for part in parts)
    slope = sum(part.products for part in parts) / spread if spread > 0 else 0.0
    return slope, together(parts).covariate_mean
