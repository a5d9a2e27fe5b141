"""Parts of rows: complete, without overlap, and named as people would."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.usecase import Evaluate
from tests.training.evaluation.conftest import MakeSubject
from training.evaluation.bootstrap import draw
from training.evaluation.clusters import cluster
from training.evaluation.partition import MISSING, OTHER, partition
from training.evaluation.slices import score_slices

numbers = st.lists(st.one_of(st.none(), st.floats(allow_infinity=True, allow_nan=True)), min_size=1, max_size=60)
texts = st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(numbers.map(lambda v: pl.Series("x", v, pl.Float64)), texts.map(lambda v: pl.Series("x", v, pl.String)))
)
def test_every_row_is_in_exactly_one_part_and_no_part_is_empty(values: pl.Series) -> None:
    found = partition(values, bins=4, most=3)
    assert len(found.code) == len(values)
    assert set(found.code.tolist()) == set(range(len(found.names)))
    assert len(set(found.names)) == len(found.names)


def test_numbers_are_cut_at_quantiles_and_missing_values_are_a_part() -> None:
    found = partition(pl.Series("x", [*np.linspace(0, 100, 101).tolist(), None]), bins=4)
    assert found.names == ("below 25", "25 to 50", "50 to 75", "75 or more", MISSING)
    assert np.bincount(found.code).tolist() == [25, 25, 25, 26, 1]


def test_few_whole_numbers_and_booleans_are_their_own_parts() -> None:
    assert partition(pl.Series("x", [10, 2, 2, 1])).names == ("1", "2", "10")
    assert partition(pl.Series("x", [1.0, 2.0, None])).names == ("1", "2", MISSING)
    assert partition(pl.Series("x", [True, False, None])).names == ("false", "true", MISSING)


def test_rare_categories_are_put_together() -> None:
    found = partition(pl.Series("x", ["a"] * 5 + ["b"] * 4 + ["c", "d", None]), most=2)
    assert found.names == ("a", "b", OTHER, MISSING)


def test_times_are_cut_at_quantiles() -> None:
    values = pl.Series("x", [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(100)])
    assert partition(values, bins=2).names == ("below 2024-01-03 01:30", "2024-01-03 01:30 or more")


def test_slices_add_up_to_all_rows_and_differ_from_them(make_subject: MakeSubject) -> None:
    subject = make_subject(evaluate=Evaluate(slices=("colour", "double")))
    drawn = draw(cluster(subject.day, 0), 100, 0)
    whole = drawn.scores("binary", subject.label, subject.prediction)
    found = score_slices(subject, drawn, whole)
    colours = [item for item in found if item.column == "colour"]
    assert [item.value for item in colours] == ["blue", "green", "red"]
    assert sum(item.rows for item in colours) == len(subject.label)
    weighted = sum((item.score.value or 0) * item.rows for item in colours) / len(subject.label)
    assert np.isclose(weighted, whole.value["log_loss"])
    for item in found:
        assert item.score.value is not None
        assert item.difference.value is not None
        assert np.isclose(item.score.value - item.difference.value, whole.value["log_loss"])
        assert (item.score.low or 9) < item.score.value < (item.score.high or 0)
