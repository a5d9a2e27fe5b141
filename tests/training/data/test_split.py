"""The split never peeks: at each cut, every label of an earlier part was known."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from flywheel.usecase import UseCase, parse_usecase
from training.data.dataset import Rows
from training.data.split import Split, split

START = datetime(2024, 1, 1)
AS_OF = START + timedelta(hours=1000)


def usecase(delay: int, validation: int, *, task: str = "binary", group: bool = False, **train: Any) -> UseCase:
    label = {"column": "y", "available_after": f"{delay}h"}
    data = {"source": {"kind": "csv", "path": "rows.csv"}, "event_time": "at", "label": label}
    data |= {"group": "who"} if group else {}
    hours = {key: f"{value}h" if key in ("test", "window") else value for key, value in train.items()}
    document = {"name": "some-case", "task": task, "data": data, "train": {"validation": f"{validation}h"} | hours}
    return parse_usecase(document, "test")


def frame(hours: list[int]) -> pl.DataFrame:
    columns = {"at": [START + timedelta(hours=hour) for hour in hours], "y": [i % 2 for i in range(len(hours))]}
    return pl.DataFrame(columns | {"place": range(len(hours))}, schema_overrides={"at": pl.Datetime("us")})


def within(made: Split, part: Rows) -> list[datetime]:
    return made.frame(part)["at"].to_list()


cases = settings(deadline=None, max_examples=60)  # other work on the machine is no fault of the split


@cases
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 48),
    st.integers(48, 120),
    st.none() | st.integers(48, 120),
    st.none() | st.integers(600, 1100),
    st.integers(1, 4),
    st.integers(800, 1100),
)
def test_nothing_peeks_over_a_cut(
    seed: int, delay: int, validation: int, test: int | None, window: int | None, folds: int, end: int
) -> None:
    hours = np.random.default_rng(seed).integers(0, 1000, size=1200).tolist()
    as_of, late = START + timedelta(hours=end), timedelta(hours=delay)
    train: dict[str, Any] = {"folds": folds} | ({"test": test} if test else {}) | ({"window": window} if window else {})
    try:
        made = split(frame(hours), usecase(delay, validation, **train), as_of)
    except DataError:
        return
    assert made.rows["at"].is_sorted()
    assert max(within(made, made.test)) + late <= as_of
    assert min(within(made, made.test)) >= made.test_cut
    assert max(within(made, made.test)) - made.test_cut < timedelta(hours=test or validation)
    for fold in made.folds:
        held_out = within(made, fold.validation)
        assert max(held_out) + late <= made.test_cut
        assert max(held_out) < made.test_cut
        assert max(held_out) - min(held_out) < timedelta(hours=validation)
        assert max(within(made, fold.train)) + late <= min(held_out)
        assert max(within(made, fold.train)) < min(held_out)
    for earlier, later in pairwise(made.folds):
        assert earlier.validation.stop == later.validation.start
        assert earlier.train.stop < later.train.stop
    assert len(made.folds) == folds
    if window is not None:
        assert made.rows["at"].min() >= as_of - timedelta(hours=window)  # type: ignore[operator]  # it is a datetime


@cases
@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.integers(1, 3))
def test_a_group_is_never_on_both_sides(seed: int, groups: int, folds: int) -> None:
    random = np.random.default_rng(seed)
    hours = sorted(random.integers(0, 900, size=1200).tolist())
    names = [None if i % 7 == 0 else f"g{value}" for i, value in enumerate(random.integers(0, groups, size=1200))]
    rows = frame(hours).with_columns(who=pl.Series(names))
    try:
        made = split(rows, usecase(1, 100, group=True, folds=folds), AS_OF)
    except DataError:
        return

    def names_of(part: Rows) -> set[str]:
        return set(made.frame(part)["who"].drop_nulls().to_list())

    assert not names_of(made.train) & (names_of(made.validation) | names_of(made.test))
    assert not names_of(made.validation) & names_of(made.test)
    lost = 0
    for fold in made.folds:
        assert not names_of(fold.train) & names_of(fold.validation)
        lost += sum(part.stop - part.start - len(part) for part in (fold.train, fold.validation))
    assert lost == sum(made.purged.values())
    assert made.frame(made.train)["at"].is_sorted()


def test_the_rows_of_the_gaps_are_in_no_part() -> None:
    made = split(frame(list(range(600))), usecase(24, 100, test=60), AS_OF)
    assert len(made.test) == 60
    assert len(made.validation) == 100
    assert made.test.start - made.validation.stop == 24
    assert made.validation.start - made.train.stop == 24
    assert len(made.train) == 600 - 60 - 100 - 2 * 24


def test_a_label_that_is_known_at_once_needs_no_gap() -> None:
    made = split(frame(list(range(600))), usecase(0, 100), AS_OF)
    assert (made.train.stop, made.validation.stop, made.test.stop) == (400, 500, 600)


def test_rows_in_order_are_sliced_and_not_copied() -> None:
    rows = frame(list(range(600)))
    made = split(rows, usecase(24, 100), AS_OF)
    for part in (made.train, made.validation, made.test):
        held = made.frame(part)["place"].to_numpy()
        assert np.shares_memory(held, rows["place"].to_numpy())
        assert held.tolist() == list(range(part.start, part.stop))


def test_labels_that_come_after_as_of_are_not_used() -> None:
    made = split(frame(list(range(900))), usecase(24, 100), START + timedelta(hours=600))
    assert made.rows.height == 600 - 24 + 1


def test_purged_rows_are_counted_by_part() -> None:
    rows = frame(list(range(600))).with_columns(who=pl.when(pl.col("place") % 10 == 0).then(pl.lit("same")))
    made = split(rows, usecase(0, 100, group=True), AS_OF)
    assert made.purged == {"train": 40, "validation": 10}
    assert made.frame(made.train)["who"].null_count() == len(made.train) == 360


@pytest.mark.parametrize(
    ("count", "case", "sentence"),
    [
        (250, usecase(0, 80), "training part of the split has 90 labelled rows; 100 are needed"),
        (600, usecase(0, 49), "validation part of the split has 49"),
        (600, usecase(0, 100, test=20), "test part of the split has 20"),
        (400, usecase(0, 100, folds=3), "training part of fold 1 of 3 has 0"),
    ],
)
def test_a_part_with_few_rows_is_refused_with_its_count(count: int, case: UseCase, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        split(frame(list(range(count))), case, AS_OF)


def test_purging_that_leaves_too_little_is_named() -> None:
    rows = frame(list(range(600))).with_columns(who=pl.lit("all the same"))
    with pytest.raises(DataError, match=r"has 0 labelled rows \(400 purged, whose group comes later\)"):
        split(rows, usecase(0, 100, group=True), AS_OF)


def test_a_part_of_one_day_is_refused() -> None:
    minutes = [START + timedelta(minutes=i) for i in range(4000)]
    rows = pl.DataFrame({"at": minutes, "y": [i % 2 for i in range(4000)]})
    with pytest.raises(DataError, match=r"test part of the split lies within one day \(2024-01-03\)"):
        split(rows, usecase(0, 30, test=10), AS_OF)


def test_a_label_that_tells_nothing_is_refused() -> None:
    rows = frame(list(range(600)))
    with pytest.raises(DataError, match="No row has a known label 'y' as of 2024"):
        split(rows.with_columns(y=pl.lit(None, pl.Int8)), usecase(0, 100), AS_OF)
    with pytest.raises(DataError, match="training part of the split the label has one class only: 'y' = 1"):
        split(rows.with_columns(y=pl.lit(1)), usecase(0, 100), AS_OF)
    late = pl.when(pl.col("place") >= 500).then(pl.lit(0.5)).otherwise(pl.col("place").cast(pl.Float64))
    with pytest.raises(DataError, match=r"test part of the split the label is constant: 'y' = 0\.5"):
        split(rows.with_columns(y=late), usecase(0, 100, task="regression"), AS_OF)


def test_a_class_that_training_never_saw_is_named() -> None:
    rows = frame(list(range(600)))
    late = (
        pl.when((pl.col("place") > 450) & (pl.col("place") % 2 == 0))
        .then(pl.lit("late"))
        .otherwise(pl.col("y").cast(pl.String))
    )
    with pytest.raises(DataError, match="In the training part of the split no row has 'y' = 'late'"):
        split(rows.with_columns(y=late), usecase(0, 100, task="multiclass"), AS_OF)
