"""Windows follow the reference without a gap, and the goals follow from the rows."""

from datetime import datetime
from itertools import pairwise

import pytest

from benchmarks.performance_estimate import CONSTANT, LAST, OURS, PLAIN, errors_of, measured_goals, months, weeks
from benchmarks.performance_history import AIRPORTS, END, FLIGHTS


def test_months_and_weeks_follow_the_reference_without_a_gap() -> None:
    spans = months(FLIGHTS)
    assert (len(spans), spans[0][0], spans[-1][1]) == (9, datetime(2013, 4, 1), END)
    assert months(AIRPORTS)[0][0] == datetime(2013, 6, 1)
    for spans in (months(FLIGHTS), weeks(FLIGHTS)):
        assert all(left[1] == right[0] for left, right in pairwise(spans))
        assert spans[-1][1] <= END


def test_errors_are_absolute_and_goals_look_at_the_months_of_flights_alone() -> None:
    row = {"cell": "flights by month, seed 7", "realised": 0.65, OURS: 0.64, PLAIN: 0.70, CONSTANT: 0.69, LAST: 0.65}
    other = row | {"cell": "flights by week", OURS: 9.0}
    above = row | {"realised": 0.63}
    assert errors_of([row, above])[OURS] == pytest.approx(0.01)
    goals = {item.name: item for item in measured_goals([row, other])}
    assert goals["auc_error"].value == pytest.approx(0.01)
    assert goals["auc_error_vs_plain_cbpe"].value == pytest.approx(0.2)
    assert goals["auc_error_vs_constant"].met
