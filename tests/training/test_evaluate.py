"""Scores against what they are defined to be."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from training.evaluate import calibration, importance, mean_error, row_losses, score

shares = st.lists(st.floats(0.001, 0.999), min_size=10, max_size=80)


@settings(deadline=None)
@given(shares, st.randoms(use_true_random=False))
def test_scores_agree_with_their_definitions(values: list[float], random: object) -> None:
    probability = np.array(values)
    label = np.arange(len(values), dtype=np.float64) % 2
    found = score(label, probability, np.arange(len(values)))
    assert np.isclose(found.log_loss, log_loss(label, probability))
    assert np.isclose(found.brier, brier_score_loss(label, probability))
    assert 0 <= found.calibration_error <= 1
    assert sum(rows for _, _, rows in calibration(label, probability)) == len(values)


def test_certain_and_wrong_costs_much_and_stays_finite() -> None:
    losses = row_losses(np.array([1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert np.isfinite(losses).all()
    assert losses[0] > 30
    assert losses[2] < 1e-9


def test_clusters_of_one_row_give_the_usual_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=500)
    assert np.isclose(mean_error(values, np.arange(500)), values.std(ddof=1) / np.sqrt(500))


def test_days_that_move_together_widen_the_standard_error() -> None:
    random = np.random.default_rng(2)
    means = [(random.normal(size=30)[:, None] + random.normal(size=(30, 100))).ravel() for _ in range(200)]
    day = np.repeat(np.arange(30), 100)
    spread = float(np.std([values.mean() for values in means]))
    stated = float(np.mean([mean_error(values, day) for values in means]))
    assert abs(stated / spread - 1) < 0.15
    assert mean_error(means[0], np.zeros(3000)) < spread / 3  # as if rows were independent


def test_importance_finds_the_feature_that_matters() -> None:
    import pandas as pd  # noqa: PLC0415  # heavy, and only this test wants it

    random = np.random.default_rng(3)
    frame = pd.DataFrame({"noise": random.normal(size=400), "signal": random.normal(size=400)})
    label = (frame["signal"].to_numpy() > 0).astype(np.float64)
    found = importance(lambda rows: 1 / (1 + np.exp(-3 * rows["signal"].to_numpy())), frame, label, seed=1)
    assert list(found) == ["signal", "noise"]
    assert found["noise"] == 0
    assert found["signal"] > 0.5
