"""The sums keep the property that the budget rests on, exactly."""

import itertools

import numpy as np
import pytest

from flywheel.statistics import Floats
from monitoring.concept.effects import log_shares, signed_sizes
from monitoring.concept.evidence import EFFECTS, begin, path
from monitoring.concept.scale import PSEUDO, Scale

LENGTH = 9
SCALE = Scale(centre=0.2, spread=0.4, low=0.0, high=1.0)  # as if it had been learned; any fixed one will do


def probability(errors: Floats) -> float:
    """Of a sequence of errors whose rate was drawn from Jeffreys' prior: the product of the predictive ones."""
    ones = np.concatenate([[0], np.cumsum(errors)[:-1]])
    predicted = (ones + PSEUDO) / (np.arange(len(errors)) + 2 * PSEUDO)
    return float(np.prod(np.where(errors == 1, predicted, 1 - predicted)))


def test_without_a_change_the_expectation_of_each_sum_is_the_number_of_losses() -> None:
    total, expected = 0.0, np.zeros((len(EFFECTS), LENGTH))
    for sequence in itertools.product((0.0, 1.0), repeat=LENGTH):
        errors = np.array(sequence)
        line = path(begin(), SCALE.units(errors, np.empty(0)), 0, SCALE)
        total += probability(errors)
        expected += probability(errors) * np.exp(line.log_sums)
    assert total == pytest.approx(1)
    np.testing.assert_allclose(expected, np.tile(np.arange(1, LENGTH + 1), (len(EFFECTS), 1)), rtol=1e-9)


def test_the_sums_are_those_of_the_recursion_loss_by_loss() -> None:
    errors = (np.random.default_rng(3).random(200) < 0.2).astype(np.float64)
    line = path(begin(), SCALE.units(errors, np.empty(0)), 0, SCALE)
    sums, slow = np.zeros(len(EFFECTS)), []
    for step in line.steps.T:
        sums = (sums + 1) * np.exp(step)
        slow.append(sums)
    np.testing.assert_allclose(np.exp(line.log_sums), np.array(slow).T, rtol=1e-9)


@pytest.mark.parametrize("rises", [0.1, 0.5, 0.9])
def test_the_budget_is_shared_out_to_the_last_part(rises: float) -> None:
    shares = np.exp(log_shares(rises))
    assert shares.sum() == pytest.approx(1)
    assert shares[signed_sizes() > 0].sum() == pytest.approx(rises)
