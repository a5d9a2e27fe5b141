"""The search for the worst slices: silent on noise, and not blind."""

import numpy as np
import polars as pl
import pytest

from flywheel.statistics import Floats
from training.evaluation.clusters import cluster
from training.evaluation.partition import partition
from training.evaluation.report import SliceSearch
from training.evaluation.worst import find_worst


def draw_columns(
    random: np.random.Generator, rows: int, day: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> pl.DataFrame:
    """Draw columns that say nothing of the loss; two of them move with the days."""
    return pl.DataFrame(
        {f"number {index}": random.normal(size=rows) for index in range(4)}
        | {f"colour {index}": random.choice(["red", "green", "blue", "white"], size=rows) for index in range(4)}
        | {"weekday": day % 7, "weather": random.normal(size=day.max() + 1)[day] + random.normal(scale=0.1, size=rows)}
    )


def searched(columns: pl.DataFrame, loss: Floats, day: np.ndarray[tuple[int], np.dtype[np.int64]]) -> SliceSearch:
    parts = [partition(column, bins=4, most=12) for column in columns]
    return find_worst(parts, loss, cluster(day, 0), most=5, expected=np.full(len(loss), 0.5))


@pytest.mark.parametrize("days", [14, 40])
def test_noise_yields_a_slice_one_time_in_twenty_at_most(days: int) -> None:
    random = np.random.default_rng(days)
    trials, false = 80, 0
    for _ in range(trials):
        day = np.sort(random.integers(0, days, 2000)).astype(np.int64)
        loss = random.exponential(size=2000) * np.exp(random.normal(scale=0.3, size=days))[day]
        found = searched(draw_columns(random, 2000, day), loss, day)
        assert found.tested > 200
        false += bool(found.found)
    assert false / trials <= 0.08  # 5 % at most, and chance


def test_a_slice_of_two_columns_is_found_and_named() -> None:
    random = np.random.default_rng(3)
    day = (np.arange(8000) // 400).astype(np.int64)
    columns = draw_columns(random, 8000, day)
    bad = ((columns["colour 1"] == "red") & (columns["number 2"] > columns["number 2"].quantile(0.75))).to_numpy()
    found = searched(columns, random.exponential(size=8000) + 1.5 * bad, day).found
    assert {column for column, _ in found[0].conditions} == {"colour 1", "number 2"}
    assert found[0].p_adjusted < 0.01
    assert (found[0].difference.low or 0) > 0.8
    assert found[0].expected_loss == 0.5
    assert "colour 1 is red" in found[0].name


def test_a_slice_of_one_column_is_not_told_again_by_its_halves() -> None:
    random = np.random.default_rng(4)
    day = (np.arange(8000) // 400).astype(np.int64)
    columns = draw_columns(random, 8000, day)
    bad = (columns["colour 0"] == "blue").to_numpy()
    found = searched(columns, random.exponential(size=8000) + bad, day).found
    assert found[0].conditions == (("colour 0", "blue"),)
    assert len(found) == 1


def test_false_slices_are_few_among_the_true_ones() -> None:
    random = np.random.default_rng(5)
    true, all_found = 0, 0
    for _ in range(40):
        day = np.sort(random.integers(0, 30, 3000)).astype(np.int64)
        columns = draw_columns(random, 3000, day)
        bad = (columns["colour 0"] == "blue").to_numpy() | (columns["colour 1"] == "red").to_numpy()
        found = searched(columns, random.exponential(size=3000) + bad, day).found
        all_found += len(found)
        true += sum(any(name in ("colour 0", "colour 1") for name, _ in item.conditions) for item in found)
    assert all_found >= 60
    assert true / all_found >= 0.95


def test_small_parts_and_few_days_prove_nothing() -> None:
    loss = np.concatenate([np.full(40, 9.0), np.full(160, 1.0)])
    column = pl.DataFrame({"part": ["bad"] * 40 + ["good"] * 160})
    assert searched(column, loss, np.arange(200) % 20).found == ()  # fewer than 50 rows
    loss = np.concatenate([np.full(90, 9.0), np.full(310, 1.0)])
    column = pl.DataFrame({"part": ["bad"] * 90 + ["good"] * 310})
    one_bad_stretch = np.concatenate([np.arange(90) // 30, 3 + np.arange(310) // 20])
    assert searched(column, loss, one_bad_stretch).found == ()  # its rows lie on three days
