"""The digest of a frame sees every value, and nothing but values."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from training.data.frame_digest import STEP, fingerprint, frame_digest

KINDS: dict[str, tuple[pl.DataType, st.SearchStrategy[Any]]] = {
    "whole": (pl.Int64(), st.integers(-(2**63), 2**63 - 1)),
    "number": (pl.Float64(), st.floats()),
    "text": (pl.String(), st.text(max_size=4)),
    "truth": (pl.Boolean(), st.booleans()),
    "time": (pl.Datetime("us"), st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))),
    "kind": (pl.Categorical(), st.sampled_from(["a", "b", "", "ü"])),
    "bytes": (pl.Binary(), st.binary(max_size=3)),
}
CELLS = st.fixed_dictionaries({name: st.one_of(st.none(), values) for name, (_, values) in KINDS.items()})
ROWS = st.lists(CELLS, min_size=1, max_size=12)


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series([row[name] for row in rows], dtype=kind) for name, (kind, _) in KINDS.items()})


def rebuilt(made: pl.DataFrame, rows: list[dict[str, Any]]) -> list[pl.DataFrame]:
    """Return equal frames that came about otherwise: filtered, sliced, in chunks, gathered, through Arrow."""
    beside = pl.concat([frame(rows[::-1]), made, frame(rows[::-1])], rechunk=False)
    keep = pl.int_range(pl.len()).is_between(made.height, 2 * made.height - 1)
    return [
        beside.filter(keep),
        beside.slice(made.height, made.height),
        pl.concat([made.slice(i, 1) for i in range(made.height)], rechunk=False),
        made[list(range(made.height))],
        made.clone().rechunk(),
        pl.concat([made, frame(rows)], rechunk=True).head(made.height),
    ]


@settings(deadline=None, max_examples=60)
@given(ROWS)
def test_equal_frames_have_one_digest_however_they_were_built(rows: list[dict[str, Any]]) -> None:
    made = frame(rows)
    assert {frame_digest(other) for other in rebuilt(made, rows)} == {frame_digest(made)}


@settings(deadline=None, max_examples=100)
@given(ROWS, st.data())
def test_another_cell_gives_another_digest_of_its_column_alone(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    row, name = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.sampled_from(sorted(KINDS)))
    value = data.draw(st.one_of(st.none(), KINDS[name][1]))
    changed = [dict(cells) for cells in rows]
    changed[row][name] = value
    one, two = fingerprint(frame(rows)), fingerprint(frame(changed))
    same = (
        frame(rows)[name]
        .cast(pl.Binary if name == "bytes" else KINDS[name][0])
        .equals(frame(changed)[name], null_equal=True)
    )
    assert (one.digest == two.digest) == same
    assert {other for other in KINDS if one.columns[other] != two.columns[other]} == (set() if same else {name})


def test_every_row_of_a_long_frame_counts() -> None:
    rows = 2 * STEP + 10
    long = pl.DataFrame({"x": np.arange(rows, dtype=np.float64), "s": ["a"] * rows})
    digests = {frame_digest(long)}
    for place in (0, STEP - 1, STEP, 2 * STEP, rows - 1):
        here = pl.int_range(pl.len()) == place
        digests.add(frame_digest(long.with_columns(pl.when(here).then(pl.lit("b")).otherwise("s").alias("s"))))
        digests.add(frame_digest(long.with_columns(pl.when(here).then(None).otherwise("x").alias("x"))))
    assert len(digests) == 11


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.reverse(),
        lambda f: f.cast({"x": pl.Int32}),
        lambda f: f.rename({"s": "t"}),
        lambda f: f.select("s", "x"),
        lambda f: f.head(2),
        lambda f: f.with_columns(s=pl.lit(None, pl.String)),
        lambda f: f.with_columns(s=pl.Series(["ab", "", "c"])),
        lambda f: f.with_columns(s=pl.Series(["a", "b", None])),
        lambda f: f.with_columns(s=pl.Series(["a", "b", ""])),
        lambda f: f.with_columns(pl.col("s").cast(pl.Categorical)),
    ],
)
def test_order_types_names_gaps_and_borders_of_text_count(change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    made = pl.DataFrame({"x": [1, 2, 3], "s": ["a", "b", "c"]})
    assert frame_digest(change(made)) != frame_digest(made)


def test_values_that_are_equal_have_one_digest() -> None:
    zeros = pl.DataFrame({"x": [0.0, float("nan"), None]})
    negative = pl.DataFrame({"x": [-0.0, float(np.uint64(0xFFF8000000000001).view(np.float64)), None]})
    assert frame_digest(zeros) == frame_digest(negative)
    assert frame_digest(pl.DataFrame({"x": [float("nan")]})) != frame_digest(
        pl.DataFrame({"x": [None]}, {"x": pl.Float64})
    )


def test_nested_columns_are_refused_and_empty_frames_are_not() -> None:
    with pytest.raises(DataError, match=r"Column 'x' holds List\(Int64\), which has no digest"):
        frame_digest(pl.DataFrame({"x": [[1]]}))
    assert frame_digest(pl.DataFrame({"x": [1]}).clear()) != frame_digest(pl.DataFrame())
    assert frame_digest(pl.DataFrame({"d": [timedelta(1)]})).startswith("sha256:")
