"""The split never peeks: every training label was known when validation began."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from flywheel.usecase import UseCase, parse_usecase
from training.split import split_by_time

START = datetime(2024, 1, 1)


def usecase(delay: int, validation: int, window: int | None = None) -> UseCase:
    train = {"validation": f"{validation}h"} | ({"window": f"{window}h"} if window else {})
    label = {"column": "y", "available_after": f"{delay}h"}
    data = {"source": {"kind": "csv", "path": "rows.csv"}, "event_time": "at", "label": label}
    return parse_usecase({"name": "some-case", "data": data, "train": train}, "test")


def rows(hours: list[int], delay: int, as_of: datetime) -> pl.DataFrame:
    times = [START + timedelta(hours=hour) for hour in sorted(hours)]
    known = [time + timedelta(hours=delay) <= as_of for time in times]
    labels = [i % 2 if there else None for i, there in enumerate(known)]
    return pl.DataFrame({"at": times, "y": labels}, schema={"at": pl.Datetime("us"), "y": pl.Int8})


@settings(deadline=None, max_examples=50)  # other work on the machine is no fault of the split
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 48),
    st.integers(60, 200),
    st.none() | st.integers(200, 600),
    st.integers(300, 600),
)
def test_every_training_label_was_known_at_the_cut(
    seed: int, delay: int, validation: int, window: int | None, end: int
) -> None:
    hours = np.random.default_rng(seed).integers(0, 500, size=350).tolist()
    as_of = START + timedelta(hours=end)
    case = usecase(delay, validation, window)
    frame = rows([hour for hour in hours if hour < end], delay, as_of)
    try:
        split = split_by_time(frame, case, as_of)
    except DataError:
        return
    assert (split.train["at"] + timedelta(hours=delay) <= split.cut).all()
    assert (split.validation["at"] >= split.cut).all()
    assert (split.validation["at"] + timedelta(hours=delay) <= as_of).all()
    assert split.everything["y"].null_count() == 0
    if window is not None:
        assert (split.train["at"] >= as_of - timedelta(hours=window)).all()


AS_OF = START + timedelta(hours=500)


def test_the_rows_of_the_gap_are_on_neither_side() -> None:
    split = split_by_time(rows(list(range(400)), 24, AS_OF), usecase(24, 100), AS_OF)
    assert split.validation.height == 100
    assert split.train.height == 400 - 100 - 24


def test_a_side_that_is_too_small_or_one_sided_is_refused_with_its_count() -> None:
    with pytest.raises(DataError, match="training side of the split has 41 labelled rows"):
        split_by_time(rows(list(range(100)), 0, AS_OF), usecase(0, 59), AS_OF)
    with pytest.raises(DataError, match="validation side of the split has 10"):
        split_by_time(rows(list(range(300)), 0, AS_OF), usecase(0, 10), AS_OF)
    one = rows(list(range(300)), 0, AS_OF).with_columns(y=pl.lit(1, pl.Int8))
    with pytest.raises(DataError, match="only 'y' = 1"):
        split_by_time(one, usecase(0, 100), AS_OF)
    with pytest.raises(DataError, match="No row has a known label"):
        split_by_time(one.with_columns(y=pl.lit(None, pl.Int8)), usecase(0, 100), AS_OF)
