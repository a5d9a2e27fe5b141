"""Profiles merge: of any parts in any order comes the profile of all rows, exactly where counts are whole numbers."""

import random
from collections import Counter
from functools import reduce

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.profiling.categories import LONGEST, MOST, Categories
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.quantiles import RANK_ERROR, Quantiles
from flywheel.profiling.scale import Scale
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import series_bytes, series_from
from tests.flywheel.profiling.profiled import COLUMNS, rows

REFERENCE = profile_rows(rows(20), COLUMNS, "at")
LIVE = rows(3, 40, seed=9, shift=0.4).with_columns(
    colour=pl.when(pl.int_range(pl.len()) % 11 == 0).then(pl.lit("violet")).otherwise("colour")
)


def exact(series: Series) -> list[object]:
    """Return all that does not depend on the order of rows."""
    found: list[object] = []
    for block in series.blocks:
        assert block.together is not None
        found += [block.start, block.end, block.rows, block.together.sums.tolist(), block.together.products.tolist()]
        found += [(name, one.rows, one.missing, one.unfit) for name, one in block.columns.items()]
        found += [one.categories.counts for one in block.columns.values() if one.categories is not None]
        found += [(name, one.counts.tolist()) for name, one in block.numbers.items()]
        found += [(name, one.counts.tolist(), one.other) for name, one in block.categories.items()]
    return found


def profiled(frame: pl.DataFrame) -> Series:
    return profile_rows(frame, COLUMNS, "at", scale=REFERENCE.scale)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 6), through_files=st.booleans())
def test_parts_in_any_order_make_the_profile_of_all_rows(seed: int, parts: int, through_files: bool) -> None:
    generator = np.random.default_rng(seed)
    part = generator.integers(0, parts, LIVE.height)
    pieces = [profiled(LIVE.filter(pl.Series(part == number))) for number in generator.permutation(parts)]
    if through_files:
        pieces = [series_from(series_bytes(piece, dense=seed % 2 == 0), "a piece") for piece in pieces]
    whole, merged = profiled(LIVE), reduce(Series.merge, pieces)
    assert exact(merged) == exact(whole)
    for one, other in zip(merged.blocks, whole.blocks, strict=True):
        assert one.columns["colour"].cardinality == pytest.approx(other.columns["colour"].cardinality, abs=0.01)
        ranks = np.linspace(0, 1, 11)  # 40 rows: the sketch still has all of them
        assert one.columns["x"].quantiles(ranks).tolist() == other.columns["x"].quantiles(ranks).tolist()


@pytest.mark.parametrize("parts", [1, 7, 100])
def test_quantiles_of_merged_sketches_lie_within_the_promised_error_of_rank(parts: int) -> None:
    values = np.random.default_rng(parts).standard_cauchy(100_000)
    merged = reduce(Quantiles.merge, [Quantiles.of(part) for part in np.array_split(values, parts)])
    ranks = np.linspace(0.01, 0.99, 50)
    found = np.searchsorted(np.sort(values), merged.at(ranks)) / len(values)
    # The promise holds for one rank in a hundred at most not; of fifty at once twice the error is far beyond it.
    assert np.abs(found - ranks).max() <= 2 * RANK_ERROR
    assert merged.count == len(values)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 5), values=st.sampled_from([5, MOST, 3 * MOST]))
def test_counts_of_values_are_too_low_by_at_most_what_they_say(seed: int, parts: int, values: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # a draw of rows, no secret
    pieces = [
        Counter(f"v{min(chance.randrange(values), int(chance.paretovariate(0.3)))}" for _ in range(3000))
        for _ in range(parts)
    ]
    true: Counter[str] = sum(pieces, Counter())
    merged = reduce(Categories.merge, [Categories.of(piece) for piece in pieces])
    assert len(merged.counts) <= MOST
    for value, seen in true.items():
        assert merged.counts.get(value, 0) <= seen <= merged.counts.get(value, 0) + merged.error
    assert merged.error * (MOST + 1) <= sum(true.values())
    if len(true) <= MOST:
        assert (merged.counts, merged.error) == (dict(true), 0)


def test_a_column_of_free_text_leaves_no_text_and_its_cardinality() -> None:
    frame = rows(2, 10_000).with_columns(colour=pl.format("dear {}", pl.int_range(pl.len())))
    series = profile_rows(frame, COLUMNS, "at")
    column = series.merged().columns["colour"]
    assert column.categories is not None
    assert column.categories.counts == {}
    assert column.cardinality == pytest.approx(20_000, rel=0.15)
    assert b"dear" not in series_bytes(series)
    assert series.scale.columns[2].vocabulary == ()


def test_long_text_is_never_kept_however_often_it_is_seen() -> None:
    frame = rows(2).with_columns(colour=pl.lit("x" * (LONGEST + 1)))
    column = profile_rows(frame, COLUMNS, "at").merged().columns["colour"]
    assert column.categories is not None
    assert (column.categories.counts, column.missing) == ({}, 0)


def test_columns_that_one_part_does_not_know_have_the_rows_of_the_other() -> None:
    one = profiled(LIVE)
    fewer = profile_rows(LIVE, {}, "at", scale=REFERENCE.scale.only({"x"}))
    both = one.merge(Series(one.scale, one.every, fewer.blocks))
    assert both.blocks[0].rows == 2 * one.blocks[0].rows
    assert both.blocks[0].columns["x"].rows == 2 * both.blocks[0].columns["colour"].rows


def test_columns_side_by_side_keep_the_rows_and_each_its_own() -> None:
    answers = LIVE.select("at", score=pl.int_range(pl.len()) / 100).head(50)
    series = profiled(LIVE).beside(profile_rows(answers, {"score": "double"}, "at"))
    assert [block.rows for block in series.blocks] == [40, 40, 40]
    assert [block.columns["score"].rows for block in series.blocks[:2]] == [40, 10]
    assert "score" not in series.blocks[2].columns
    assert "score" not in series.scale.paired
    assert series.scale.paired == REFERENCE.scale.paired
    again = series_from(series_bytes(series.published()), "it")
    assert again.merged().columns["score"].rows == 50
    assert again.scale == series.scale


def test_a_scale_of_no_columns_places_nothing() -> None:
    series = profile_rows(LIVE, COLUMNS, "at", scale=Scale(()))
    block = series.blocks[0]
    assert (block.numbers, block.categories, block.together) == ({}, {}, None)
    assert block.columns["x"].rows == 40
