import numpy as np
import pytest

from deploy.experiments.adjusting import adjusted, plain
from deploy.experiments.sums import Sums

Folds = dict[str, tuple[Sums, Sums]]


def arms(correlation: float, *, units: int = 40_000, lift: float = 0.0) -> Folds:
    generator = np.random.default_rng(3)
    found: Folds = {}
    for arm, gain in (("champion", 0.0), ("challenger", lift)):
        before = generator.normal(10, 2, units)
        noise = generator.normal(0, 1, units)
        value = correlation * (before - 10) / 2 + np.sqrt(1 - correlation**2) * noise + gain
        found[arm] = (Sums.of(value[::2], before[::2]), Sums.of(value[1::2], before[1::2]))
    return found


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, -0.7])
def test_the_variance_falls_by_the_square_of_the_correlation(correlation: float) -> None:
    folds = arms(correlation)
    left = {arm: adjusted(folds)[arm].variance / plain(folds)[arm].variance for arm in folds}
    assert left == pytest.approx(dict.fromkeys(folds, 1 - correlation**2), rel=0.03)


def test_the_difference_of_the_means_stays() -> None:
    found = adjusted(arms(0.9, lift=0.2))
    assert found["challenger"].mean - found["champion"].mean == pytest.approx(0.2, abs=0.02)


def test_a_fold_is_adjusted_by_what_the_other_fold_says() -> None:
    steep = Sums.of(np.array([0.0, 3.0, 6.0]), np.array([0.0, 1.0, 2.0]))  # slope 3
    flat = Sums.of(np.array([5.0, 5.0, 5.0]), np.array([0.0, 1.0, 2.0]))  # slope 0
    found = adjusted({"champion": (steep, flat)})["champion"]
    by_hand = [0.0, 3.0, 6.0, *(5.0 - 3.0 * (before - 1.0) for before in (0.0, 1.0, 2.0))]
    assert found.mean == pytest.approx(np.mean(by_hand))
    assert found.variance == pytest.approx(np.var(by_hand, ddof=1))


def test_a_covariate_that_never_differs_changes_nothing() -> None:
    folds = {"champion": (Sums.of(np.array([1.0, 2.0]), np.ones(2)), Sums.of(np.array([3.0]), np.ones(1)))}
    assert adjusted(folds)["champion"].mean == plain(folds)["champion"].mean == 2
