"""Thresholds from costs: against trying all of them, and against their own noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.usecase import Costs
from training.evaluation.bootstrap import draw
from training.evaluation.clusters import cluster
from training.evaluation.threshold import cheapest_threshold, choose_threshold, decision_outcome, row_costs

COSTS = Costs(false_positive=1, false_negative=4)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40),
    false_positive=st.floats(0, 5),
    false_negative=st.floats(0, 5),
)
def test_no_threshold_is_cheaper_than_the_cheapest(
    rows: list[tuple[float, bool]], false_positive: float, false_negative: float
) -> None:
    prediction = np.array([row[0] for row in rows])
    label = np.array([float(row[1]) for row in rows])
    costs = Costs(false_positive=false_positive, false_negative=false_negative)
    found = row_costs(label, prediction, cheapest_threshold(label, prediction, costs), costs).sum()
    tried = [row_costs(label, prediction, value, costs).sum() for value in [0, 0.05, 0.2, 0.4, 0.7, 0.95, 1.0, 1.1]]
    assert found <= min(tried) + 1e-6


def test_calibrated_probabilities_mostly_get_the_bayes_threshold() -> None:
    random = np.random.default_rng(1)
    used = []
    for _ in range(100):
        prediction = random.beta(1, 2, size=1500)
        label = (random.random(1500) < prediction).astype(np.float64)
        found = choose_threshold(label, prediction, COSTS, np.arange(1500) // 100)
        assert found.bayes == 0.2
        assert found.cheapest_cost <= found.bayes_cost
        used.append(found.used)
    assert used.count("bayes") >= 80


def test_wrong_probabilities_get_the_threshold_that_is_cheaper_on_other_days() -> None:
    random = np.random.default_rng(2)
    truth = random.beta(1, 2, size=3000)
    label = (random.random(3000) < truth).astype(np.float64)
    found = choose_threshold(label, truth**3, COSTS, np.arange(3000) // 200)
    assert found.used == "cheapest"
    assert found.threshold < 0.05
    assert found.cost < found.bayes_cost
    assert "saves" in found.reason


@pytest.mark.parametrize(("costs", "threshold"), [((0, 0), 0.5), ((0, 2), 0.0), ((3, 0), 1.0)])
def test_mistakes_that_cost_nothing_give_a_threshold_all_the_same(costs: tuple[float, float], threshold: float) -> None:
    label, prediction = np.tile([0.0, 1.0], 50), np.linspace(0.1, 0.9, 100)
    found = choose_threshold(label, prediction, Costs(false_positive=costs[0], false_negative=costs[1]))
    assert found.bayes == threshold
    assert found.cost == 0


def test_the_outcome_counts_decisions_on_the_test_rows() -> None:
    label = np.array([1.0, 1.0, 0.0, 0.0] * 25)
    prediction = np.array([0.9, 0.1, 0.8, 0.2] * 25)
    found = decision_outcome(label, prediction, 0.5, COSTS, draw(cluster(np.arange(100) // 5, 0), 100, 0))
    assert found.cost.value == 1.25
    assert (found.cost_of_never, found.cost_of_always) == (2.0, 0.5)
    assert (found.decided, found.precision, found.recall) == (0.5, 0.5, 0.5)
