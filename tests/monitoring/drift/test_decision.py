"""The decision: what it finds, what it leaves alone, and what must not make a difference."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from flywheel.monitor_spec import Drift
from flywheel.profiling.block import Block
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.scale import Scale
from flywheel.profiling.series import Series
from flywheel.statistics import Floats
from monitoring.drift.decision import DriftDecision, Verdict, judge
from monitoring.drift.streams import Kind, streams_of
from monitoring.drift.watch import learn
from tests.monitoring.drift.rows import Rows

DRIFT = Drift()
GENERATED = (Phase.explicit, Phase.reuse, Phase.generate)  # a smaller example says no more here, and takes minutes
Change = Callable[[pl.DataFrame], pl.DataFrame]


def judged(rows: Rows, change: Callable[[Floats], None] | None = None, then: Change | None = None) -> DriftDecision:
    _, reference = rows.reference()
    frame = rows.days(60, 40, change)
    return judge(reference, rows.live(reference, frame if then is None else then(frame)), DRIFT)


def shifted(by: float, column: int = 2, from_day: int = 10) -> Callable[[Floats], None]:
    def change(values: Floats) -> None:
        values[from_day:, :, column] += by

    return change


def moved_by(shift: Floats, values: Floats) -> None:
    values += shift


def first_moved(decision: DriftDecision) -> tuple[Kind, str]:
    stream = decision.alarms[0].moved[0].stream
    return stream.kind, stream.column


def test_rows_like_the_reference_are_quiet() -> None:
    decision = judged(Rows(1))
    assert decision.verdict is Verdict.QUIET
    assert decision.e_value < 365
    assert decision.reason.startswith("No drift in 40 blocks")


def test_a_shift_is_found_with_its_column_its_start_and_its_size() -> None:
    decision = judged(Rows(2), shifted(0.7))
    assert decision.verdict is Verdict.DRIFT
    moved = decision.alarms[0].moved[0]
    assert (moved.stream.kind, moved.stream.column) == (Kind.MEAN, "x2")
    assert abs(moved.since - datetime(2024, 3, 11)) <= timedelta(days=3)
    low, high = moved.interval
    assert low < 0.7 < high
    assert "'x2' moved by" in decision.reason


def test_a_wider_spread_is_found() -> None:
    def wider(values: Floats) -> None:
        values[10:, :, 2] *= 1.5

    decision = judged(Rows(3), wider)
    assert first_moved(decision) == (Kind.SPREAD, "x2")
    assert "times what it was" in decision.reason


def test_missing_values_are_found() -> None:
    late = pl.col("time") >= datetime(2024, 3, 11)
    every_fifth = pl.int_range(pl.len()) % 5 == 0
    gone = pl.when(late & every_fifth).then(None).otherwise(pl.col("x1")).alias("x1")
    decision = judged(Rows(4), then=lambda frame: frame.with_columns(gone))
    assert first_moved(decision) == (Kind.MISSING, "x1")
    assert "from 0.00% to 2" in decision.alarms[0].moved[0].sentence


def test_a_new_category_is_found() -> None:
    late = pl.col("time") >= datetime(2024, 3, 11)
    new = pl.when(late & (pl.int_range(pl.len()) % 15 == 0)).then(pl.lit("new")).otherwise(pl.col("c")).alias("c")
    decision = judged(Rows(5), then=lambda frame: frame.with_columns(new))
    assert first_moved(decision) == (Kind.NEW, "c")


def test_a_correlation_that_goes_is_found_though_no_column_changes() -> None:
    def apart(values: Floats) -> None:
        values[10:, :, 1] = values[10:, ::-1, 1]

    decision = judged(Rows(6, rows=200), apart)
    assert first_moved(decision) == (Kind.TOGETHER, "x0")
    assert decision.alarms[0].moved[0].stream.detail == "x1"


def thinned(begin: datetime) -> Change:
    """Keep one of three rows from a day on."""
    few = (pl.col("time") < begin) | (pl.int_range(pl.len()) % 3 == 0)
    return lambda frame: frame.filter(few)


def test_rows_that_become_few_are_found() -> None:
    rows = Rows(7)
    _, reference = rows.reference()
    live = rows.live(reference, thinned(datetime(2024, 4, 20))(rows.days(60, 70)))
    decision = judge(reference, live, DRIFT)
    assert Kind.ROWS in [one.stream.kind for look in decision.alarms for one in look.moved]


def test_fewer_rows_from_the_first_block_on_are_no_drift_since_traffic_is_not_training() -> None:
    decision = judged(Rows(7), then=thinned(datetime(2024, 1, 1)))
    assert decision.verdict is Verdict.QUIET


@pytest.mark.parametrize("seed", [20, 25])
def test_a_noisy_column_hides_no_other(seed: int) -> None:
    """One column moves by much each month; another by little, for good."""

    def change(values: Floats) -> None:
        values[:, :, 3] += np.repeat([0.0, 1.5, -1.5, 1.5, -1.5], 30)[:, None]
        values[20:, :, 2] += 0.3

    rows = Rows(seed, rho=0.02)
    _, reference = rows.reference()
    decision = judge(reference, rows.live(reference, rows.days(60, 150, change)), DRIFT)
    named = [{one.stream.column for one in look.moved} for look in decision.alarms]
    assert {"x2"} <= set().union(*named)


@settings(max_examples=15, phases=GENERATED)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_alarm_spends_the_threshold_and_no_column_gains_by_it(seed: int) -> None:
    rows = Rows(seed % 1000)
    _, reference = rows.reference()
    shift = np.random.default_rng(seed).normal(0, 0.7, 4)
    live = rows.live(reference, rows.days(60, 20, partial(moved_by, shift)))
    watch = learn(reference, DRIFT)
    for block in live.blocks:
        look = watch.take(block)
        if look.alarm:
            assert watch.e_value <= max(look.e_value - watch.threshold, 0.0) * (1 + 1e-9)


def test_a_shift_is_told_once_and_the_next_one_again() -> None:
    def twice(values: Floats) -> None:
        values[10:, :, 2] += 1.0
        values[26:, :, 3] -= 1.0

    decision = judged(Rows(8), twice)
    columns = [look.moved[0].stream.column for look in decision.alarms]
    assert columns == ["x2", "x3"]


def large_series(rows: int, shift: float) -> tuple[Series, Series]:
    """Return a reference of 40 days and 30 shifted days, of `rows` rows a day without day effects."""
    generator = np.random.default_rng(9)
    times = np.repeat(np.datetime64("2024-01-01", "us") + np.arange(70) * np.timedelta64(1, "D"), rows)
    values = generator.standard_normal(70 * rows, dtype=np.float32).astype(np.float64)
    values[40 * rows :] += shift
    frame = pl.DataFrame({"time": times, "x": values})
    reference = profile_rows(frame[: 40 * rows], {"x": "double"}, "time")
    return reference, profile_rows(frame[40 * rows :], {"x": "double"}, "time", scale=reference.scale)


def test_dust_in_a_million_rows_is_no_alarm_but_what_is_above_the_least_effect_is() -> None:
    million = 1_000_000 // 30
    assert judge(*large_series(million, 0.01), DRIFT).verdict is Verdict.QUIET
    assert judge(*large_series(million, 0.03), DRIFT).verdict is Verdict.QUIET
    assert judge(*large_series(million, 0.03), Drift(least_effect=0.01)).verdict is Verdict.DRIFT  # it was seen
    assert judge(*large_series(million, 0.1), DRIFT).verdict is Verdict.DRIFT


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, Verdict.QUIET), (0.02, Verdict.QUIET), (0.3, Verdict.DRIFT)])
def test_ten_times_the_rows_with_the_same_effect_give_the_same_verdict(shift: float, verdict: Verdict) -> None:
    assert judge(*large_series(1_000, shift), DRIFT).verdict is verdict
    assert judge(*large_series(10_000, shift), DRIFT).verdict is verdict


@settings(max_examples=8, deadline=None, phases=GENERATED)
@given(seed=st.integers(0, 10_000), power=st.integers(-20, 20))
def test_units_make_no_difference(seed: int, power: int) -> None:
    rows, unit = Rows(seed, rows=40), 2.0**power  # powers of two keep the order of values exactly
    before, after = rows.days(0, 60), rows.days(60, 10, shifted(0.5, 0))
    reference = profile_rows(before, rows.types, "time")
    wanted = [look.e_value for look in judge(reference, rows.live(reference, after), DRIFT).looks]
    other = pl.col("x0") * unit
    columns = tuple(
        replace(one, quantiles=tuple(unit * value for value in one.quantiles)) if one.name == "x0" else one
        for one in reference.scale.columns
    )
    scale = Scale(columns)
    again = profile_rows(before.with_columns(other), rows.types, "time", scale=scale)
    live = profile_rows(after.with_columns(other), rows.types, "time", scale=scale)
    assert [look.e_value for look in judge(again, live, DRIFT).looks] == pytest.approx(wanted, rel=1e-9)


def in_order(series: Series, names: list[str]) -> Series:
    """Return the same profile with its columns in another order."""
    by_name = {column.name: column for column in series.scale.columns}
    return replace(
        series,
        scale=Scale(tuple(by_name[name] for name in names)),
        blocks=tuple(_in_order(block, names) for block in series.blocks),
    )


def _in_order(block: Block, names: list[str]) -> Block:
    together = block.together
    assert together is not None
    places = [together.names.index(name) for name in names if name in together.names]
    moved = replace(
        together,
        names=tuple(together.names[place] for place in places),
        sums=together.sums[places],
        products=together.products[np.ix_(places, places)],
    )
    return replace(
        block,
        columns={name: block.columns[name] for name in names},
        numbers={name: block.numbers[name] for name in names if name in block.numbers},
        together=moved,
    )


@settings(max_examples=8, deadline=None, phases=GENERATED)
@given(seed=st.integers(0, 10_000), names=st.permutations(["x0", "x1", "x2", "x3", "c"]))
def test_the_order_of_columns_makes_no_difference(seed: int, names: list[str]) -> None:
    rows = Rows(seed, rows=40)
    _, reference = rows.reference()
    live = rows.live(reference, rows.days(60, 10, shifted(0.5)))
    wanted = [look.e_value for look in judge(reference, live, DRIFT).looks]
    found = judge(in_order(reference, names), in_order(live, names), DRIFT)
    assert [look.e_value for look in found.looks] == pytest.approx(wanted, rel=1e-9)


def test_the_same_record_gives_the_same_decision_and_is_plain_json() -> None:
    rows = Rows(11)
    _, reference = rows.reference()
    live = rows.live(reference, rows.days(60, 40, shifted(0.7)))
    body = judge(reference, live, DRIFT).body()
    assert body == judge(reference, live, DRIFT).body()
    assert json.loads(json.dumps(body)) == body
    assert body["alarms"][0]["moved"][0]["column"] == "x2"


def test_a_column_that_vanished_is_told_at_once_and_is_no_evidence() -> None:
    decision = judged(Rows(12), then=lambda frame: frame.drop("x2"))
    assert decision.verdict is Verdict.DRIFT
    assert not decision.alarms
    assert {(change.column, change.fault) for look in decision.looks for change in look.changes} == {("x2", "vanished")}
    assert decision.reason.startswith("Column 'x2' has no value in any row in 40 blocks, the first on 2024-03-01.")
    assert "Otherwise no drift in 40 blocks" in decision.reason


def test_columns_that_vanish_on_one_day_are_one_sentence() -> None:
    last = pl.col("time") < datetime(2024, 4, 9)
    gone = [pl.when(last).then(name).alias(name) for name in ("x0", "x1", "x2", "x3")]
    decision = judged(Rows(12), then=lambda frame: frame.with_columns(gone))
    assert "Columns 'x0', 'x1', 'x2' and 1 more have no value in any row on 2024-04-09. See" in decision.reason


def test_a_column_that_changed_type_is_told_at_once() -> None:
    words = pl.lit("many").alias("x2")
    decision = judged(Rows(13), then=lambda frame: frame.with_columns(words))
    assert {(change.column, change.fault) for change in decision.looks[0].changes} == {("x2", "changed type")}
    assert not decision.alarms


def test_a_window_without_rows_decides_nothing() -> None:
    rows = Rows(14, rows=20)
    _, reference = rows.reference()
    decision = judge(reference, Series(reference.scale), DRIFT)
    assert decision.verdict is Verdict.UNDECIDED
    assert decision.reason == "There are no rows to judge."


def test_a_short_reference_decides_nothing() -> None:
    rows = Rows(15, rows=20)
    _, reference = rows.reference(20)
    decision = judge(reference, rows.live(reference, rows.days(20, 5)), DRIFT)
    assert decision.verdict is Verdict.UNDECIDED
    assert "20 blocks of 28" in decision.reason


def test_windows_on_another_scale_are_refused() -> None:
    rows = Rows(16, rows=20)
    _, reference = rows.reference()
    _, other = rows.reference()
    with pytest.raises(DataError, match="not on the scale"):
        judge(reference, other, DRIFT)


def test_windows_before_the_reference_are_refused() -> None:
    rows = Rows(17, rows=20)
    frame, reference = rows.reference()
    with pytest.raises(DataError, match="not later than"):
        judge(reference, rows.live(reference, frame), DRIFT)


def test_an_excluded_column_is_not_watched() -> None:
    rows = Rows(18)
    _, reference = rows.reference()
    live = rows.live(reference, rows.days(60, 30, shifted(1.0)).drop("x3"))
    decision = judge(reference, live, Drift(exclude=("x2", "x3")))
    assert decision.verdict is Verdict.QUIET


def test_of_blocks_with_a_handful_of_rows_only_means_are_followed() -> None:
    frame = Rows(5, rows=3).days(0, 60)
    streams = streams_of(profile_rows(frame, Rows(5).types, "time"))
    assert set(streams.by_kind) <= {Kind.MEAN, Kind.ROWS}
