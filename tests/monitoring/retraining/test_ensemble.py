"""Weights of versions: a distribution always, and on the side of whoever was right lately."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flywheel.statistics import Floats
from monitoring.retraining.ensemble import RATE, SHARE, joined, mixed, updated


@given(arrays.arrays(float, (30, 3), elements=st.one_of(st.floats(0, 1e6), st.just(np.nan))))
def test_weights_stay_a_distribution_and_nobody_is_forgotten(blocks: Floats) -> None:
    weights = np.ones(3) / 3
    for losses in blocks:
        weights = updated(weights, losses)
        assert np.isclose(weights.sum(), 1)
        assert (weights > 0).all()


@given(st.integers(1, 5), st.floats(0.01, 1), st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_a_newcomer_has_its_share_and_the_oldest_leave(most: int, newcomer: float, old: list[float]) -> None:
    weights = joined(np.array(old) / sum(old), newcomer, most)
    assert len(weights) == min(most, len(old) + 1)
    assert np.isclose(weights.sum(), 1)
    assert len(weights) == 1 or np.isclose(weights[-1], newcomer)


def test_the_weights_follow_a_leader_that_changes() -> None:
    weights = np.ones(2) / 2
    for day in range(60):
        weights = updated(weights, np.array([0.0, 40.0]) if day < 30 else np.array([40.0, 0.0]))
        if day == 29:
            assert weights[0] > 0.9
    assert weights[1] > 0.9


def test_the_loss_of_the_mixture_keeps_to_the_bound_of_fixed_share() -> None:
    # Cesa-Bianchi and Lugosi 2006, theorem 5.2 and corollary 5.1, for a loss that is exp-concave at the rate:
    # L_mix <= L_best sequence + (ln N + m ln N + n H(m / n)) / eta, here with m = 1 change, for one row a block.
    random = np.random.default_rng(3)
    days, rate, share = 400, 1.0, 1 / 400
    label = np.repeat([1.0, 0.0], days // 2)
    predictions = np.vstack([np.full(days, 0.8), np.full(days, 0.2), random.uniform(0.3, 0.7, days)])
    losses = -(label * np.log(predictions) + (1 - label) * np.log1p(-predictions))
    weights, total = np.ones(3) / 3, 0.0
    for day in range(days):
        answer = mixed(predictions[:, day : day + 1], weights)[0]
        total += -np.log(answer if label[day] else 1 - answer)
        weights = updated(weights, losses[:, day], rate=rate, share=share)
    best = losses[0, : days // 2].sum() + losses[1, days // 2 :].sum()
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert best <= total <= best + (2 * np.log(3) + days * entropy) / rate


def test_versions_whose_losses_are_not_known_keep_their_weight() -> None:
    weights = updated(np.array([0.2, 0.3, 0.5]), np.array([0.0, 50.0, np.nan]))
    assert weights[2] == 0.5
    assert weights[0] > 0.35
    assert RATE > 0
    assert 0 < SHARE < 1


def test_classes_are_mixed_as_whole_distributions() -> None:
    made = mixed(np.array([[[0.2, 0.8]], [[0.6, 0.4]]]), np.array([0.25, 0.75]))
    assert np.allclose(made, [[0.5, 0.5]])
