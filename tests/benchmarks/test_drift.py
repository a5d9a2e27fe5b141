"""The worlds are profiled as the product does it, and the peers compute what their libraries would."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from scipy import stats

from benchmarks.drift_alarms_rates import NEVER, Rate, cells
from benchmarks.drift_peers import EVIDENTLY, KS, PSI, Counted, alarms, counted, figures
from benchmarks.drift_worlds import BEGIN, DAY, SHARES, VOCABULARY, Drawn, Shift, World, series_of
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series import Series

WORLD = World(10, 0.1, 0.5, rows=300, reference=30, live=20)


def frame_of(drawn: Drawn, start: datetime) -> pl.DataFrame:
    values = [*VOCABULARY, "something new"]
    numbers = {f"x{number}": column for number, column in enumerate(drawn.numbers)}
    names = {f"c{number}": [values[code] for code in codes] for number, codes in enumerate(drawn.codes)}
    return pl.DataFrame(
        {"time": pl.Series([start] * drawn.numbers.shape[1], dtype=pl.Datetime("us")), **numbers, **names}
    )


def test_the_worlds_profiles_are_those_of_the_product() -> None:
    reference, live = series_of(WORLD, Shift(day=3, mean=1.0, new=0.1), 1)
    types = {column.name: column.type for column in reference.scale.columns}
    for number, (block, drawn) in zip(range(5), live, strict=False):
        start = BEGIN + DAY * (WORLD.reference + number)
        series = profile_rows(frame_of(drawn, start), types, "time", scale=reference.scale)
        (wanted,) = series.blocks
        assert (block.start, block.end, block.rows) == (wanted.start, wanted.end, wanted.rows)
        for name, scores in wanted.numbers.items():
            assert np.array_equal(block.numbers[name].counts, scores.counts)
        for name, counts in wanted.categories.items():
            assert np.array_equal(block.categories[name].counts, counts.counts)
            assert block.categories[name].other == counts.other
        assert {name: column.missing for name, column in block.columns.items()} == {
            name: column.missing for name, column in wanted.columns.items()
        }
        assert block.together is not None
        assert wanted.together is not None
        assert np.array_equal(block.together.products, wanted.together.products)


def test_a_shift_is_there_from_its_day_on() -> None:
    _, live = series_of(WORLD, Shift(day=5, mean=2.0), 2)
    means = [block.numbers["x0"].mean for block, _ in live]
    assert max(means[:5]) < min(means[5:])
    assert np.mean(means[5:]) - np.mean(means[:5]) > 1


def test_day_effects_have_the_share_of_variance_that_is_asked_for() -> None:
    reference, live = series_of(World(10, 0.3, 0.0, rows=300, reference=60, live=120), NEVER, 3)
    blocks = [*reference.blocks, *(block for block, _ in live)]
    means = np.array([[block.numbers[f"x{number}"].mean for number in range(8)] for block in blocks])
    assert 0.25 < means.var() < 0.5  # .3 of days, and a quarter of that again of the week


def rows(seed: int, shift: float = 0.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(shift, 1, 5_000)


def one_column(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], reference: Series | None = None) -> Series:
    frame = pl.DataFrame({"time": pl.Series([BEGIN] * len(values), dtype=pl.Datetime("us")), "x": values})
    scale = None if reference is None else reference.scale
    return profile_rows(frame, {"x": "double"}, "time", scale=scale)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
def test_the_peers_figures_are_those_of_scipy_on_the_rows(shift: float) -> None:
    before, now = rows(1), rows(2, shift)
    reference = one_column(before)
    found = figures(counted(reference), Counted.of(one_column(now, reference).blocks[0]))
    wanted = stats.wasserstein_distance(before, now) / before.std()
    assert found.distances[0] == pytest.approx(wanted, abs=0.02)
    # Places are a hundredth apart, and a p-value of thousands of rows is steep: its logarithm is compared.
    test = stats.ks_2samp(before, now)
    assert found.evidently_p[0] == pytest.approx(test.pvalue, rel=0.9, abs=0.2)


def test_peers_alarm_on_a_shift_and_not_on_the_same_rows() -> None:
    reference = one_column(rows(1))
    before = counted(reference)
    same = alarms(before, figures(before, Counted.of(reference.blocks[0])))
    moved = alarms(before, figures(before, Counted.of(one_column(rows(3, 0.8), reference).blocks[0])))
    assert not any(same.values())
    assert moved[EVIDENTLY]
    assert moved[KS]
    assert moved[PSI]


def test_a_cell_is_broken_only_when_its_bound_is_above_the_budget() -> None:
    assert Rate(WORLD, 2, 2, {}, {}).low < 1 < Rate(WORLD, 2, 9, {}, {}).low
    assert not Rate(WORLD, 4, 8, {}, {}).broken
    assert Rate(WORLD, 4, 20, {}, {}).broken
    assert Rate(WORLD, 4, 0, {}, {}).low == 0


def test_all_cells_of_the_issue_are_there() -> None:
    worlds = cells(quick=False)
    assert {world.columns for world in worlds} == {5, 50, 200}
    assert {world.rho for world in worlds} == {0.0, 0.02, 0.1, 0.3}
    assert {world.phi for world in worlds} == {0.0, 0.5, 0.9}
    assert {world.reference for world in worlds} == {90, 365}
    assert {50, 100_000} <= {world.rows for world in worlds}
    assert any(world.uneven for world in worlds)
    assert sum(SHARES) == pytest.approx(1.0)
