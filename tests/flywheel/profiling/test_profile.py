from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from flywheel.errors import DataError
from flywheel.profiling.placing import normal_scores
from flywheel.profiling.profile import profile_rows
from tests.flywheel.profiling.profiled import COLUMNS, START, rows


def test_a_day_is_a_block_with_its_rows_missing_values_and_shares() -> None:
    frame = rows(3)
    series = profile_rows(frame, COLUMNS, "at")

    assert [block.start for block in series.blocks] == [START + timedelta(days=day) for day in range(3)]
    second = frame[200:400]
    block = series.blocks[1]
    assert (block.rows, block.end) == (200, START + timedelta(days=2))
    assert block.columns["x"].missing == second["x"].is_nan().sum()
    assert block.columns["colour"].share("red") == pytest.approx((second["colour"] == "red").mean())
    assert block.columns["open"].share("true") == pytest.approx(second["open"].mean())


def test_scores_of_a_block_are_those_of_its_rows() -> None:
    frame = rows(4)
    series = profile_rows(frame, COLUMNS, "at")
    quantiles = {column.name: column.quantiles for column in series.scale.numeric}

    block, part = series.blocks[2], frame[400:600]
    for name in ("x", "count"):
        values = part[name].cast(pl.Float64).to_numpy()
        scores = normal_scores(values[~np.isnan(values)], quantiles[name])
        assert block.numbers[name].count == len(scores)
        assert block.numbers[name].mean == pytest.approx(scores.mean())
        assert block.numbers[name].variance == pytest.approx(scores.var())


def test_a_shift_of_half_a_deviation_is_half_a_score() -> None:
    reference = profile_rows(rows(60), COLUMNS, "at")
    live = profile_rows(rows(60, seed=1, shift=0.5), COLUMNS, "at", scale=reference.scale)

    assert live.merged().numbers["x"].mean == pytest.approx(0.5, abs=0.05)


def test_columns_that_go_together_are_correlated_and_a_new_value_is_another() -> None:
    reference = profile_rows(rows(30), COLUMNS, "at")
    changed = rows(5, seed=2).with_columns(colour=pl.lit("violet"))
    live = profile_rows(changed, COLUMNS, "at", scale=reference.scale).merged()

    assert live.together is not None
    assert live.together.correlation()[0, 1] == pytest.approx(0.85, abs=0.05)
    assert live.categories["colour"].other == 1000
    assert live.columns["colour"].share("violet") == 1


def test_a_row_without_a_time_is_refused_in_one_sentence() -> None:
    with pytest.raises(DataError, match="missing in 1 rows"):
        profile_rows(rows(1).with_columns(pl.col("at").replace({START: None})), COLUMNS, "at")


@pytest.mark.parametrize(("asked", "blocks"), [(1, 1), (200, 1), (201, 2), (600, 3), (10_000, 3)])
def test_a_window_by_count_has_the_last_blocks_with_so_many_rows(asked: int, blocks: int) -> None:
    series = profile_rows(rows(3), COLUMNS, "at")
    assert series.newest(asked).blocks == series.blocks[-blocks:]


def test_the_same_rows_in_any_order_set_the_same_scale() -> None:
    frame = rows(30, 500, seed=4)
    scale = profile_rows(frame, COLUMNS, "at").scale
    assert profile_rows(frame.sample(fraction=1, shuffle=True, seed=1), COLUMNS, "at").scale == scale
    values = np.sort(frame["x"].filter(frame["x"].is_not_nan()).to_numpy())
    assert scale.columns[0].quantiles == tuple(np.quantile(values, np.linspace(0, 1, 101), method="nearest"))
