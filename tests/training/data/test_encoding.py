"""Codes and arrays: the same rows give the same codes, and what is on disk is what was encoded."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from tests.training.tiny_dataset import parts, usecase, write
from training.data.encoding import MOST_CATEGORIES, code_labels, make_columns, write_dataset
from training.packaging.model_code import encode

texts = st.lists(st.none() | st.text(max_size=3), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(texts, st.randoms(use_true_random=False))
def test_codes_depend_on_no_order_and_lead_back_to_the_text(values: list[str | None], random: object) -> None:
    column = pl.Series("word", values, dtype=pl.String)
    columns = make_columns(column.to_frame())
    assert make_columns(column.sample(fraction=1, shuffle=True, seed=1).to_frame()) == columns
    categories = columns.categories[0]
    assert categories == tuple(sorted({value for value in values if value is not None}))
    codes = encode(column.to_frame(), columns.document())[:, 0]
    assert [None if np.isnan(code) else categories[int(code)] for code in codes] == values


def test_rare_values_of_a_column_of_many_count_as_missing() -> None:
    often = [f"often{i}" for i in range(MOST_CATEGORIES - 1)] * 2
    frame = pl.DataFrame({"word": [*often, "b once", "a once"]})
    (categories,) = make_columns(frame).categories
    assert categories is not None
    assert len(categories) == MOST_CATEGORIES
    assert "a once" in categories  # of equals the first in the alphabet
    assert "b once" not in categories


def test_text_has_categories_and_all_else_is_a_number() -> None:
    frame = pl.DataFrame({"word": ["b", "a"], "truth": [True, False], "count": [1, 2], "size": [0.5, None]})
    columns = make_columns(frame)
    assert columns.is_category == (True, False, False, False)
    assert encode(frame, columns.document()).tolist()[0] == [1.0, 1.0, 1.0, 0.5]


def test_a_column_that_is_all_missing_is_encoded_as_missing() -> None:
    frame = pl.DataFrame({"word": [None, None], "x": [None, None]}, schema={"word": pl.String, "x": pl.Float64})
    columns = make_columns(frame)
    assert columns.categories == ((), None)
    assert np.isnan(encode(frame, columns.document())).all()


def test_classes_are_sorted_as_what_they_are() -> None:
    label, classes = code_labels(pl.Series("y", [10, 9, 10]), "multiclass")
    assert (label.tolist(), classes) == ([1.0, 0.0, 1.0], ("9", "10"))
    label, classes = code_labels(pl.Series("y", ["b", "a"]), "multiclass")
    assert (label.tolist(), classes) == ([1.0, 0.0], ("a", "b"))
    assert code_labels(pl.Series("y", [True, False]), "binary")[0].tolist() == [1.0, 0.0]


def test_labels_that_do_not_suit_the_task_are_refused() -> None:
    with pytest.raises(DataError, match="is of type String; task regression needs numbers"):
        code_labels(pl.Series("y", ["a"]), "regression")
    with pytest.raises(DataError, match="values other than 0 and 1"):
        code_labels(pl.Series("y", [0, 2]), "binary")
    with pytest.raises(DataError, match="infinite or no number"):
        code_labels(pl.Series("y", [1.0, float("inf")]), "regression")


def test_the_arrays_on_disk_are_the_encoded_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.encoding.CHUNK", 64)
    case = usecase("multiclass")
    made = parts(case)
    dataset = write(tmp_path, case)
    features = made.rows.select("x", "noise", "colour", "flag")
    assert np.array_equal(dataset.matrix, encode(features, dataset.columns.document()), equal_nan=True)
    assert dataset.classes == ("low", "mid", "top")
    assert dataset.n_classes == 3
    assert np.array(dataset.classes)[dataset.label.astype(int)].tolist() == made.rows["y"].to_list()
    assert dataset.time.tolist() == made.rows["at"].dt.epoch("us").to_list()
    assert dataset.folds[-1].validation == made.validation
    assert dataset.test == made.test


def test_the_digest_follows_data_and_parts(tmp_path: Path) -> None:
    case = usecase()
    made = parts(case)
    features = made.rows.select("x", "colour")
    digests = {
        write_dataset(tmp_path / "a", features, made, "binary").digest,
        write_dataset(tmp_path / "b", features, made, "binary").digest,
    }
    assert len(digests) == 1
    digests |= {
        write_dataset(tmp_path / "c", features.with_columns(pl.col("x") + 1), made, "binary").digest,
        write_dataset(tmp_path / "d", features, parts(usecase(folds=2)), "binary").digest,
    }
    assert len(digests) == 3
