"""Losses and business measures of known outcomes, within their bounds."""

import math
from typing import Any

import polars as pl
import pytest

from deploy.evidence.losses import losses, measures
from deploy.evidence.plan import Decided, Gain, Loss
from tests.deploy.evidence.rollout_log import plan


def rows(**columns: Any) -> pl.DataFrame:
    count = len(next(iter(columns.values())))
    empty = {
        "outcome": pl.Series([None] * count, dtype=pl.Float64),
        "label": pl.Series([None] * count, dtype=pl.String),
    }
    given = {name.replace("output_", "output."): value for name, value in columns.items()}
    return pl.DataFrame(empty | given)


def test_log_loss_of_two_classes_is_cut_at_the_bounds_and_null_without_an_outcome() -> None:
    known = rows(output_probability=[0.25, 0.25, 0.0, None], outcome=[1.0, 0.0, 1.0, 1.0])
    assert losses(known, plan(), Loss(low=0.5, high=3.0)).to_list() == [pytest.approx(-math.log(0.25)), 0.5, 3.0, None]
    unknown = rows(output_probability=[0.25], outcome=pl.Series([None], dtype=pl.Float64))
    assert losses(unknown, plan(), Loss(low=0, high=3)).to_list() == [None]


def test_log_loss_of_several_classes_is_of_the_one_that_became_true_and_largest_where_nobody_knew_it() -> None:
    answered = {"output_prediction": ["calm"] * 3 + [None], "output_probability_calm": [0.75] * 4}
    known = rows(**answered, output_probability_rain=[0.25] * 4, label=["rain", "snow", None, "rain"])
    found = losses(known, plan("multiclass"), Loss(low=0, high=5)).to_list()
    assert found == [pytest.approx(-math.log(0.25)), 5.0, None, None]


@pytest.mark.parametrize(("kind", "expected"), [("squared_error", [0.25, 4.0]), ("absolute_error", [0.5, 4.0])])
def test_errors_of_numbers_are_in_units_of_the_spread(kind: Any, expected: list[float]) -> None:
    known = rows(output_prediction=[11.0, 100.0], outcome=[10.0, 10.0])
    assert losses(known, plan("regression"), Loss(kind=kind, spread=2.0, low=0, high=4)).to_list() == expected


def test_gains_are_negated_and_cut() -> None:
    known = rows(outcome=[0.0, 1.0, 250.0, -3.0])
    assert measures(known, Gain(kind="revenue", low=0, high=100)).to_list() == [0, -1, -100, 0]


def test_a_decision_costs_by_what_became_true_as_the_version_says_or_by_its_threshold() -> None:
    costs = {"false_positive": 2.0, "false_negative": 10.0}
    kpi = Decided.model_validate({"kind": "cost", "costs": costs, "thresholds": {"2": 0.5}, "low": 0, "high": 8})
    known = rows(
        model_version=["1", "1", "2", "2", "3"],
        output_decision=[True, False, None, None, None],
        output_probability=[0.1, 0.9, 0.6, 0.4, 0.4],
        outcome=[0.0, 1.0, 0.0, 0.0, 1.0],
    )
    assert measures(known, kpi).to_list() == [2.0, 8.0, 2.0, 0.0, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": True}, "errors by unit need a split that is sticky"),
        ({"outputs": {"prediction": "double"}}, "answers with 'probability', which the outputs do not name"),
        ({"loss": {"kind": "squared_error", "low": 0, "high": 1}}, "squared_error is no loss of a binary version"),
        ({"loss": {"low": 1, "high": 1}}, "low 1 must be below high 1"),
        ({"bins": {"edges": [0.5, 0.5]}}, "must rise"),
        ({"bins": {}}, "either edges or classes"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(**changes)
