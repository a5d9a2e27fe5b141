"""Anomalies against the last good run: what is seen, what is let be, and how often it is wrong."""

import numpy as np
import polars as pl
import pytest

from flywheel.profile import DataProfile, DayStatistic
from tests.training.checked import START, check, profile_of, rows_of
from training.checks.evidence import LEVEL, cautious_autocorrelation, compare_days, mean_variance
from training.checks.finding import CheckFailedError, Rule

OLD = rows_of(days=40)
NEW = rows_of(days=14, seed=2, first_day=40)
LAST: DataProfile = profile_of(OLD)


def rules_of(new: pl.DataFrame, last: DataProfile = LAST) -> dict[str | None, set[Rule]]:
    """Check old and new rows together against a profile; return the rules broken by column."""
    rules: dict[str | None, set[Rule]] = {}
    for finding in check(pl.concat([OLD, new]), last).report.findings:
        rules.setdefault(finding.column, set()).add(finding.rule)
    return rules


def test_the_same_source_two_weeks_later_is_no_anomaly() -> None:
    assert rules_of(NEW) == {}
    assert check(OLD, LAST).report.verdict == "pass"  # the very same rows


def test_rows_out_of_order_are_judged_alike() -> None:
    shuffled = pl.concat([OLD, NEW]).sample(fraction=1, shuffle=True, seed=3)
    assert check(shuffled, LAST).report.findings == ()


SHIFTED: dict[str, tuple[pl.Expr, str, Rule]] = {
    "another unit": (pl.col("size") * 2.54, "size", "shift"),
    "half a deviation": (pl.col("size") + 1.2, "size", "shift"),
    "all at the middle": (pl.lit(10.0).alias("size") + pl.col("size") * 0.01, "size", "spread"),
    "missing more often": (pl.when(pl.int_range(pl.len()) % 4 > 0).then("size"), "size", "missing rate"),
    "a new category": (pl.col("colour").replace("red", "crimson"), "colour", "new category"),
    "other shares": (
        pl.when(pl.int_range(pl.len()) % 2 > 0).then("colour").otherwise(pl.lit("red")).alias("colour"),
        "colour",
        "category shift",
    ),
    "a boolean turned round": (~pl.col("new"), "new", "category shift"),
    "columns that were shuffled apart": (pl.col("weight").shuffle(seed=1), "size", "correlation"),
}


@pytest.mark.parametrize("name", SHIFTED)
def test_new_rows_that_differ_are_named_by_column_and_rule(name: str) -> None:
    change, column, rule = SHIFTED[name]
    assert rule in rules_of(NEW.with_columns(change))[column]


def test_the_sentence_says_how_it_was_and_is_and_a_picture_goes_with_it() -> None:
    result = check(pl.concat([OLD, NEW.with_columns(pl.col("size") + 4)]), LAST)
    shift = next(finding for finding in result.report.findings if finding.rule == "shift")
    assert shift.sentence.startswith("Column 'size' moved up by ")
    assert "its median is 13.89, was 9.951" in shift.sentence
    assert shift.rows == NEW.height
    assert shift.comparison is not None
    assert sum(shift.comparison.before) == pytest.approx(1)
    assert sum(shift.comparison.now) == pytest.approx(1)


def test_new_categories_come_with_row_examples() -> None:
    result = check(pl.concat([OLD, NEW.with_columns(pl.col("colour").replace("red", "crimson"))]), LAST)
    finding = next(one for one in result.report.findings if one.rule == "new category")
    assert "'crimson'" in finding.sentence
    assert {one.value for one in finding.examples} == {"crimson"}
    assert len(finding.examples) == 5


def test_anomalies_stop_when_the_use_case_says_so_and_are_ignored_when_it_says_off() -> None:
    frame = pl.concat([OLD, NEW.with_columns(pl.col("size") * 2.54)])
    with pytest.raises(CheckFailedError, match="moved up"):
        check(frame, LAST, anomalies="stop")
    assert check(frame, LAST, anomalies="off").report.verdict == "pass"


def test_columns_that_came_went_or_changed_type_are_named() -> None:
    frame = OLD.with_columns(pl.col("count").cast(pl.String), extra=pl.col("size") * 2).drop("colour")
    findings = {finding.column: finding.rule for finding in check(frame, LAST).report.findings}
    assert findings == {"colour": "columns", "extra": "columns", "count": "type"}


def test_a_fall_in_rows_a_day_is_named() -> None:
    thin = rows_of(days=14, per_day=8, seed=2, first_day=40)
    assert rules_of(thin) == {None: {"volume"}}
    assert rules_of(rows_of(days=14, per_day=16, seed=2, first_day=40)) == {}


def test_a_last_run_of_few_days_alarms_on_large_effects_only() -> None:
    few = profile_of(rows_of(days=3, per_day=200))
    assert rules_of(NEW.with_columns(pl.col("size") + 0.7), few) == {None: {"volume"}}
    assert "shift" in rules_of(NEW.with_columns(pl.col("size") + 40), few)["size"]


def simulate(random: np.random.Generator, days: int, persistence: float) -> pl.DataFrame:
    """Make 100 rows a day of 6 numbers and 2 texts whose days differ: the day's share of the variance is a tenth."""
    noise = random.normal(size=(days + 50, 8))
    level = np.zeros_like(noise)
    for day in range(1, len(noise)):
        level[day] = persistence * level[day - 1] + np.sqrt(1 - persistence**2) * noise[day]
    values = np.repeat(level[50:] / 3, 100, axis=0) + random.normal(size=(days * 100, 8))
    at = START + np.arange(days * 100) * np.timedelta64(864, "s")
    numbers = {f"n{index}": values[:, index] for index in range(6)}
    texts = {f"t{index}": pl.Series(np.digitize(values[:, index], [-1, 0, 1])).cast(pl.String) for index in (6, 7)}
    keys = pl.Series(range(days * 100)).cast(pl.String)
    return pl.DataFrame({"at": at, "key": keys, **numbers, **texts, "good": values[:, 0] > 0})


@pytest.mark.parametrize(("persistence", "shift"), [(0.0, 1.0), (0.5, 2.0)])
def test_days_that_merely_differ_hardly_ever_alarm_and_a_shift_nearly_always_does(
    persistence: float, shift: float
) -> None:
    false, missed, runs = 0, 0, 40
    for seed in range(runs):
        frame = simulate(np.random.default_rng(seed), 74, persistence)
        last = profile_of(frame.head(6000))
        false += check(frame, last).report.verdict != "pass"
        moved = frame.with_columns(n0=pl.col("n0") + (pl.int_range(pl.len()) >= 6000) * shift)
        named = {finding.column for finding in check(moved, last).report.findings}
        missed += "n0" not in named
    # At a true rate of 1 %, more than 3 of 40 come once in 1,700 times.
    assert false <= 3
    assert missed <= 4


def test_the_p_value_of_independent_days_is_uniform() -> None:
    random, hits = np.random.default_rng(5), 0
    for _ in range(2000):
        before, now = random.normal(size=60), random.normal(size=10)
        effect = compare_days(_statistic(before), 60, _statistic(now), 10)
        hits += effect.p <= 0.05
    assert hits / 2000 <= 0.06  # the caution towards autocorrelation makes it smaller
    assert LEVEL == 0.01


def _statistic(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> DayStatistic:
    apart = values - values.mean()
    return DayStatistic(
        mean=float(values.mean()),
        sd=float(values.std(ddof=1)),
        autocorrelation=float(apart[1:] @ apart[:-1] / (apart @ apart)),
    )


@pytest.mark.parametrize(("phi", "days"), [(0.0, 7), (0.5, 1), (0.5, 30), (0.9, 60)])
def test_the_variance_of_a_mean_is_that_of_its_sum_of_covariances(phi: float, days: int) -> None:
    covariances = phi ** np.abs(np.subtract.outer(np.arange(days), np.arange(days)))
    assert mean_variance(phi, days) == pytest.approx(covariances.sum() / days**2)


def test_autocorrelation_is_corrected_upwards_and_bounded() -> None:
    assert cautious_autocorrelation(0.5, 60) > 0.5
    assert cautious_autocorrelation(-0.9, 60) == 0
    assert cautious_autocorrelation(0.99, 30) == 0.95
