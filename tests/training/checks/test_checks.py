"""The checks of training's data: what each rule finds, what it leads to, and that no row is lost."""

import math
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from tests.training.checked import AS_OF, check, contract_of, rows_of, usecase_of
from training.checks.breaches import REASON
from training.checks.check import check_data
from training.checks.finding import CheckFailedError, Finding, Rule

ROWS = rows_of()


def with_values(column: str, values: dict[int, Any]) -> pl.DataFrame:
    """Put values into some rows of a column."""
    changed = ROWS[column].to_list()
    for row, value in values.items():
        changed[row] = value
    return ROWS.with_columns(pl.Series(column, changed, dtype=ROWS.schema[column]))


def found(findings: tuple[Finding, ...], rule: Rule) -> Finding:
    (one,) = [finding for finding in findings if finding.rule == rule]
    return one


def stopped(frame: pl.DataFrame, **checks: Any) -> CheckFailedError:
    with pytest.raises(CheckFailedError) as caught:
        check(frame, **checks)
    return caught.value


def test_clean_rows_pass_and_are_not_copied() -> None:
    result = check(ROWS)
    assert result.clean is ROWS
    assert result.quarantined.is_empty()
    assert result.report.verdict == "pass"
    assert result.report.findings == ()


def test_rows_out_of_range_are_set_aside_with_their_reason() -> None:
    frame = with_values("size", {3: -1.0, 70: 99.0})
    result = check(frame, columns={"size": {"min": 0, "max": 50}})
    assert result.quarantined["key"].to_list() == ["k0-3", "k0-70"]
    assert result.quarantined[REASON].to_list() == ["range:size", "range:size"]
    assert result.clean.equals(frame.filter(pl.col("size").is_between(0, 50)))
    finding = found(result.report.findings, "range")
    assert (finding.column, finding.rows, finding.verdict) == ("size", 2, "quarantine")
    assert [(one.entity, one.value) for one in finding.examples] == [("k0-3", "-1.0"), ("k0-70", "99.0")]
    assert (result.report.clean_rows, result.report.quarantined_rows) == (958, 2)


def test_a_stop_names_column_rule_rows_examples_and_remedy_and_carries_its_report() -> None:
    fault = stopped(with_values("colour", {5: "purple"}), columns={"colour": _palette("stop")})
    assert str(fault) == (
        "Column 'colour' breaks rule category in 1 of 960 rows (none of 3 categories). Correct them in the source, or "
        "set checks.columns.colour.action to quarantine. For example k0-5 at 2024-01-01 05:00:00: purple."
    )
    assert fault.report.verdict == "stop"


@pytest.mark.parametrize(("action", "verdict"), [("warn", "warn"), ("off", "pass"), ("quarantine", "quarantine")])
def test_what_a_breach_leads_to_is_the_use_cases_choice(action: str, verdict: str) -> None:
    result = check(with_values("colour", {5: "purple"}), columns={"colour": _palette(action)})
    assert result.report.verdict == verdict
    assert result.quarantined.height == (verdict == "quarantine")


def _palette(action: str) -> dict[str, Any]:
    return {"categories": ["red", "green", "blue"], "action": action}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_infinite_values_stop_unless_they_are_set_aside(value: float) -> None:
    frame = with_values("size", {8: value})
    assert "'size' breaks rule finite in 1 of 960 rows" in str(stopped(frame))
    assert check(frame, infinite="quarantine").quarantined[REASON].to_list() == ["finite:size"]


def test_large_finite_numbers_whose_sum_overflows_are_no_breach() -> None:
    assert check(with_values("size", {1: 1.7e308, 2: 1.7e308})).report.verdict == "pass"


def test_repeated_entity_and_time_stop_or_leave_the_first() -> None:
    frame = pl.concat([ROWS, ROWS[4:6]]).sort("at")
    fault = stopped(frame)
    assert "rule duplicate in 2 of 962 rows (the same key and at as an earlier row)" in str(fault)
    assert "k0-4 at 2024-01-01 04:00:00" in str(fault)
    result = check(frame, duplicates="quarantine")
    assert result.clean.equals(ROWS)
    assert result.quarantined["key"].to_list() == ["k0-4", "k0-5"]
    assert check(frame, duplicates="off").report.verdict == "pass"


def test_an_entity_may_come_again_at_another_time_and_a_time_with_another_entity() -> None:
    twice = ROWS.with_columns(key=pl.lit("same"), count=pl.int_range(960))
    assert check(twice).report.verdict == "pass"
    crowded = ROWS.with_columns(at=pl.col("at").dt.truncate("1d"))
    assert check(crowded).report.verdict == "pass"


def test_rows_without_an_entity_repeat_nothing() -> None:
    frame = with_values("key", {4: None, 5: None}).with_columns(at=pl.col("at").dt.truncate("1d"))
    assert check(frame).report.verdict == "pass"


def test_a_unique_column_keeps_the_first_of_each_value() -> None:
    result = check(ROWS.with_columns(count=pl.int_range(960) // 2), columns={"count": {"unique": True}})
    assert result.quarantined.height == 480
    assert result.clean["count"].is_unique().all()


def test_missing_values_that_may_never_be_are_set_aside_and_a_share_too_large_stops() -> None:
    frame = with_values("size", dict.fromkeys(range(100)))
    never = check(frame, columns={"size": {"max_missing": 0}})
    assert never.quarantined.height == 100
    assert set(never.quarantined[REASON]) == {"missing:size"}
    assert check(frame, columns={"size": {"max_missing": 0.2}}).report.verdict == "pass"
    fault = stopped(frame, columns={"size": {"max_missing": 0.1}})
    assert "rule missing in 100 of 960 rows (no value; max_missing is 10.0%)" in str(fault)
    assert check(frame, columns={"size": {"max_missing": 0, "action": "warn"}}).report.verdict == "warn"


@pytest.mark.parametrize("dtype", [pl.Float64, pl.String, pl.Int64, pl.Boolean])
def test_a_column_without_any_value_stops_and_the_remedy_is_named(dtype: type[pl.DataType]) -> None:
    fault = stopped(ROWS.with_columns(size=pl.lit(None, dtype)))
    assert str(fault) == ("Column 'size' has no value in any of 960 rows. Add it to data.exclude, or fill it.")


def test_a_column_of_one_value_is_a_warning() -> None:
    result = check(ROWS.with_columns(colour=pl.lit("red"), count=pl.lit(4, pl.Int64)))
    assert [(one.column, one.verdict) for one in result.report.findings] == [("colour", "warn"), ("count", "warn")]
    assert check(with_values("colour", {900: "grey"})).report.verdict == "pass"


def test_stale_data_stop() -> None:
    newest = ROWS["at"].max()
    assert isinstance(newest, datetime)
    assert check(ROWS, freshness=AS_OF - newest).report.verdict == "pass"
    assert "checks.freshness" in str(stopped(ROWS, freshness=AS_OF - newest - timedelta(hours=1)))


def test_too_few_clean_rows_stop_and_so_does_having_set_all_aside() -> None:
    assert "960 clean rows are left, fewer than checks.min_rows (1,000)" in str(stopped(ROWS, min_rows=1000))
    fault = stopped(ROWS, columns={"size": {"min": 1000}})
    assert "0 clean rows are left after 960 of 960 were set aside" in str(fault)


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(DataError, match="has no rows"):
        check(ROWS.clear())


def test_a_frame_of_other_types_than_the_contract_stops() -> None:
    usecase = usecase_of()
    frame = ROWS.with_columns(pl.col("count").cast(pl.Float64)).drop("colour")
    with pytest.raises(CheckFailedError, match="'colour' is not in the data, but must be string") as caught:
        check_data(frame, usecase, contract_of(ROWS, usecase), as_of=AS_OF, last=None)
    assert [one.column for one in caught.value.report.findings] == ["colour", "count"]


def test_a_row_with_several_faults_carries_all_reasons() -> None:
    frame = with_values("size", {3: -1.0}).with_columns(
        colour=pl.when(pl.int_range(960) == 3).then(pl.lit("purple")).otherwise("colour")
    )
    result = check(frame, columns={"size": {"min": 0}, "colour": _palette("quarantine")})
    assert result.quarantined[REASON].to_list() == ["range:size; category:colour"]


def test_a_day_with_far_fewer_rows_is_named() -> None:
    frame = ROWS.filter(~pl.col("at").is_between(datetime(2024, 1, 20, 1), datetime(2024, 1, 20, 23, 59)))
    finding = found(check(frame).report.findings, "day volume")
    assert finding.sentence.startswith("1 day has an unusual number of rows, where 24 are usual: 2024-01-20 (1).")
    assert check(frame, anomalies="off").report.findings == ()


SIZE = st.none() | st.sampled_from([math.inf, math.nan, -3.0, 1e9]) | st.floats(0, 50)


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.lists(SIZE, min_size=1, max_size=30),
    colours=st.lists(st.sampled_from(["red", "purple", None]), min_size=30, max_size=30),
    keys=st.lists(st.integers(0, 5), min_size=30, max_size=30),
)
def test_no_row_is_ever_lost_or_doubled(sizes: list[float | None], colours: list[str | None], keys: list[int]) -> None:
    n = len(sizes)
    frame = ROWS.head(n).with_columns(
        size=pl.Series(sizes, dtype=pl.Float64),
        colour=pl.Series(colours[:n], dtype=pl.String),
        key=pl.Series([f"k{key}" for key in keys[:n]]),
        at=pl.col("at").dt.truncate("6h"),
        row=pl.int_range(n, dtype=pl.Int64),
    )
    columns = {"size": {"min": 0, "max": 50, "max_missing": 0}, "colour": _palette("quarantine")}
    try:
        result = check(frame, columns=columns, infinite="quarantine", duplicates="quarantine")
    except CheckFailedError as fault:
        assert {one.rule for one in fault.report.findings if one.verdict == "stop"} <= {"min_rows", "all missing"}  # noqa: PT017
        return
    assert sorted([*result.clean["row"], *result.quarantined["row"]]) == list(range(n))
    assert result.report.rows == result.report.clean_rows + result.report.quarantined_rows == n
    assert result.quarantined[REASON].null_count() == 0
    again = check(result.clean, columns=columns)
    assert again.report.count("quarantine") == again.report.count("stop") == 0
