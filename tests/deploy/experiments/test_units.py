import json
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.experiments.gathering import fold_of, look_at, looks_of
from deploy.experiments.judging import document as judged
from deploy.experiments.judging import judge
from deploy.experiments.plan import Experiment
from deploy.experiments.sums import together
from deploy.experiments.units import units_of_table
from flywheel.errors import UsageError
from tests.deploy.experiments.worlds import START, plan, table

COVARIATE = plan(covariate={}, guardrails={"latency_ms": {"measure": {"kind": "latency"}, "margin": 5}})
ONCE = table(3000, 0.5)
UNITS = pl.concat([ONCE, ONCE.head(300).with_columns(pl.col("value") / 3)])  # some units have two rows


def small(**columns: list[Any]) -> pl.DataFrame:
    rows: dict[str, Any] = {
        "unit": ["a", "b", "c", "d"],
        "arm": ["champion", "challenger", "champion", "challenger"],
        "value": [1.0, 2.0, 3.0, 4.0],
    }
    return pl.DataFrame(rows | columns)


def numbers(wanted: Experiment, found: pl.DataFrame, looks: int) -> dict[str, Any]:
    return judged(judge(wanted, looks_of(wanted, units_of_table(wanted, found, "units"), looks)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    shuffled = UNITS.sample(fraction=1, shuffle=True, seed=seed)
    assert json.dumps(numbers(COVARIATE, shuffled, 5)) == json.dumps(numbers(COVARIATE, UNITS, 5))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200))
def test_however_looks_are_split_the_last_numbers_are_the_same(one: int, other: int) -> None:
    left, right = (numbers(COVARIATE, UNITS, looks)["arms"] for looks in (one, other))
    for arm, again in zip(left, right, strict=True):
        for name, value in arm["gain"].items():
            assert again["gain"][name] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9))
        assert (arm["units"], arm["standing"]) == (again["units"], again["standing"])


def test_a_look_on_the_way_is_the_look_at_its_time() -> None:
    units = units_of_table(COVARIATE, UNITS, "units")
    for look in looks_of(COVARIATE, units, 7):
        alone = look_at(COVARIATE, units, look.at)
        assert look.units == alone.units
        for name, by_arm in look.sums.items():
            for arm, folds in by_arm.items():
                ours, theirs = together(folds), together(alone.sums[name][arm])
                assert ours.count == theirs.count
                assert ours.mean == pytest.approx(theirs.mean)


def test_looks_come_at_times_between_which_as_many_units_come() -> None:
    looks = looks_of(COVARIATE, units_of_table(COVARIATE, UNITS, "units"), 10)
    totals = [sum(look.units.values()) for look in looks]
    assert totals == [pytest.approx(300 * number, abs=2) for number in range(1, 11)]
    assert looks[-1].days == pytest.approx(14, abs=0.1)


def test_without_times_there_is_one_look() -> None:
    looks = looks_of(plan(), units_of_table(plan(), UNITS.drop("time"), "units"), 50)
    assert [sum(look.units.values()) for look in looks] == [3000]
    assert looks[0].days is None


def test_a_unit_in_two_arms_is_in_none_and_counted_apart() -> None:
    twice = pl.concat([ONCE, ONCE.head(20).with_columns(arm=pl.lit("champion"), time=pl.lit(START))])
    moved = ONCE.head(20).filter(pl.col("arm") == "challenger").height
    units = units_of_table(plan(), twice, "units")
    look = looks_of(plan(), units, 1)[0]
    assert look.contaminated == moved > 0
    assert sum(look.units.values()) == 3000 - moved
    assert not set(units.frame["unit"]) & set(ONCE.head(20).filter(pl.col("arm") == "challenger")["unit"])


def test_where_every_unit_was_in_two_arms_nothing_is_said() -> None:
    rows = small(unit=["a", "a", "b", "b"], time=[START] * 4)
    found = numbers(plan(), rows, 5)
    assert (found["call"], found["contaminated_units"]) == ("not yet", 2)
    assert [arm["units"] for arm in found["arms"]] == [0, 0]


def test_several_rows_of_a_unit_add_up_before_they_are_cut() -> None:
    rows = small(unit=["a", "b", "a", "b"], value=[700.0, 2.0, 800.0, -3.0])
    found = units_of_table(plan(minimum_units=20), rows, "units").frame
    assert dict(found.select("unit", "m:revenue").iter_rows()) == {"a": 1000.0, "b": -1.0}


def test_of_conversions_the_largest_counts_and_of_latencies_the_mean() -> None:
    wanted = plan(
        metric={"name": "bought", "measure": {"kind": "conversion"}},
        guardrails={"ms": {"measure": {"kind": "latency"}, "margin": 5}},
    )
    rows = small(unit=["a", "b", "a", "b"], value=[0, 0, 1, 0], ms=[10, 20, 30, 40])
    found = units_of_table(wanted, rows, "units").frame.sort("unit")
    assert found["m:bought"].to_list() == [1.0, 0.0]
    assert found["m:ms"].to_list() == [20.0, 30.0]


@pytest.mark.parametrize("name", ["u1", "u2", "ö", ""])
def test_a_fold_is_a_matter_of_the_name_alone(name: str) -> None:
    assert fold_of(pl.Series([name]))[0] == fold_of(pl.Series(["x", name]))[1]


def test_folds_are_even_in_each_arm() -> None:
    folds = fold_of(pl.Series([f"u{number}" for number in range(10_000)]))
    assert abs(folds.mean() - 0.5) < 0.02


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"arm": ["champion", "third", "champion", "challenger"]}, "arm 'third' is not in the plan (1 such rows)"),
        ({"arm": ["champion"] * 4}, "arm 'challenger' is empty"),
        ({"arm": [None, "challenger", "champion", "challenger"]}, "arm 'None' is not in the plan"),
        ({"unit": [None, "b", "c", "d"]}, "row 1 has no unit"),
        ({"unit": [0.5, 1.5, 2.5, 3.5]}, "column 'unit' must be text or whole numbers"),
        ({"value": [1.0, float("nan"), 3.0, 4.0]}, "row 2 has no finite value (1 such rows)"),
        ({"value": [1.0, float("inf"), 3.0, 4.0]}, "row 2 has no finite value"),
        ({"value": [1.0, 2.0, None, 4.0]}, "row 3 has no finite value"),
        ({"value": [1.0, 2.0, 3.0, 1e13]}, "row 4 has a value beyond ± 1e+12"),
        ({"value": [None] * 4}, "column 'value' must be numbers"),
        ({"value": pl.Series([None] * 4, dtype=pl.Float64)}, "column 'value' has no data"),
        ({"value": ["1", "2", "3", "4"]}, "column 'value' must be numbers, not text"),
        ({"time": ["yesterday"] * 4}, "row 1 has no time in ISO 8601"),
        ({"time": [1, 2, 3, 4]}, "column 'time' must be times"),
    ],
)
def test_a_table_that_does_not_hold_is_refused_in_one_sentence(columns: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        units_of_table(plan(), small(**columns), "units.csv")
    assert str(refused.value).startswith("units.csv: ")
    assert sentence in str(refused.value)


def test_a_metric_without_a_column_is_refused() -> None:
    with pytest.raises(UsageError, match="column 'value' is missing"):
        units_of_table(plan(), small().drop("value"), "units")
    with pytest.raises(UsageError, match="column 'ms' is missing"):
        units_of_table(plan(guardrails={"ms": {"measure": {"kind": "latency"}, "margin": 1}}), small(), "units")


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(UsageError, match="has no rows"):
        units_of_table(plan(), small().head(0), "units")


def test_a_covariate_from_after_the_assignment_is_refused() -> None:
    times = [START] * 4
    later = [START - timedelta(days=1), START + timedelta(seconds=1), START, START]
    with pytest.raises(UsageError, match="row 2 has a covariate from after its assignment"):
        units_of_table(plan(covariate={}), small(time=times, covariate=[1, 2, 3, 4], covariate_time=later), "units")


def test_arms_may_be_categories_as_other_tools_write_them() -> None:
    rows = small().with_columns(pl.col("arm").cast(pl.Categorical), pl.col("unit").cast(pl.Categorical))
    assert units_of_table(plan(), rows, "units").frame.height == 4


def test_a_unit_with_two_covariates_is_refused() -> None:
    with pytest.raises(UsageError, match="unit 'a' has several covariates"):
        units_of_table(plan(covariate={}), small(unit=["a", "b", "a", "d"], covariate=[1, 2, 3, 4]), "units")


def test_a_conversion_is_0_or_1() -> None:
    wanted = plan(metric={"name": "bought", "measure": {"kind": "conversion"}})
    with pytest.raises(UsageError, match="row 2 has a value that is neither 0 nor 1"):
        units_of_table(wanted, small(value=[1, 2, 0, 1]), "units")


@pytest.mark.parametrize(
    "text", ["2026-03-01T10:00:00", "2026-03-01 10:00:00", "2026-03-01T12:00:00+02:00", "2026-03-01T10:00:00Z"]
)
def test_times_are_brought_to_utc(text: str) -> None:
    found = units_of_table(plan(), small(time=[text] * 4), "units").frame
    assert found["time"].to_list() == [datetime(2026, 3, 1, 10)] * 4
