"""The column that the service gets otherwise than training did comes first, in a sentence."""

import numpy as np
import pytest

from flywheel.column_rules import ColumnType
from flywheel.profile import ColumnProfile
from monitoring.skew.first_windows import compare_profiles


def number(name: str, mean: float = 0.0, missing: float = 0.0, kind: ColumnType = "double") -> ColumnProfile:
    values = np.random.default_rng(1).normal(mean, 2, 5_000)
    return ColumnProfile(
        name=name,
        type=kind,
        missing_share=missing,
        quantiles=tuple(np.quantile(values, np.linspace(0, 1, 101)).tolist()),
    )


def text(name: str, **shares: float) -> ColumnProfile:
    return ColumnProfile(name=name, type="string", missing_share=0.0, categories=shares)


def test_columns_are_ranked_by_how_far_they_moved() -> None:
    training = (number("same"), number("shifted"), text("carrier", A=0.9, B=0.1), number("absent"), number("gone"))
    live = (number("same", 0.02), number("shifted", 6.0), text("carrier", A=0.2, C=0.8), number("absent", missing=0.7))
    found = compare_profiles(training, live)
    assert [one.column for one in found] == ["shifted", "gone", "carrier", "absent", "same"]
    assert found[0].shift == pytest.approx(3.0, abs=0.1)
    assert found[0].reason.startswith("'shifted' has the median")
    assert found[0].reason.endswith(": +3.1 standard deviations.")
    assert found[1].reason == "'gone' is not sent at all."
    assert found[2].shares == pytest.approx(0.8)
    assert "80% of the rows would have to change" in found[2].reason
    assert found[3].reason == "'absent' is missing in 70% of the rows, in training in 0%."
    assert found[4].reason == ""
    assert found[0].body()["column"] == "shifted"


def test_another_type_is_told_whatever_the_values() -> None:
    (found,) = compare_profiles((number("hour"),), (number("hour", kind="long"),))
    assert found.reason == "'hour' was double in training and is long now."


def test_constant_and_empty_columns_are_compared_without_fault() -> None:
    constant, other = (ColumnProfile(name="x", type="long", missing_share=0, quantiles=(v,) * 101) for v in (1.0, 2.0))
    empty = ColumnProfile(name="x", type="long", missing_share=1.0)
    assert compare_profiles((constant,), (constant,))[0].size == 0
    assert compare_profiles((constant,), (other,))[0].shift == 1.0
    assert compare_profiles((constant,), (empty,))[0].missing == 1.0
