"""The years without change are drawn alike, and each maker's answers cover the days that it says."""

import warnings
from pathlib import Path

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns of its own type hints while it is imported
    import mlflow.pyfunc  # noqa: F401

from benchmarks.drift_answers import MAKERS, NEWEST, NONE, OWN, OWN_NEWEST, PACKED, Cell, drawn, goals_of, trained

CELL = Cell(20, 0.05, "logistic")


def test_makers_answer_for_their_days_and_a_version_for_any(tmp_path: Path) -> None:
    version, makers = trained(tmp_path, CELL, np.random.default_rng(5))
    days = {maker: answers["at"].dt.date().n_unique() for maker, answers in makers.items()}
    assert set(days) == set(MAKERS)
    assert (days[NONE], days[PACKED], days[OWN]) == (0, 90, 90)
    assert days[NEWEST] == days[OWN_NEWEST] < 50
    live = version.answered(drawn(CELL, np.random.default_rng(6), 90, 20))
    assert live["prediction"].is_between(0, 1).all()
    assert version.alarms(makers[PACKED], live) == (0, 0)
    moved = live.with_columns(prediction=live["prediction"] * 0.5)
    assert version.alarms(makers[PACKED], moved)[1] >= 1


def test_a_cell_counts_as_over_budget_from_its_lower_bound_on() -> None:
    rows = [{"answers": PACKED, "low": low} for low in (0.2, 1.1)] + [{"answers": NEWEST, "low": 3.0}]
    assert [(one.value, one.met) for one in goals_of(rows)] == [(1, False)]
