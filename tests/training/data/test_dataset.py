"""A dataset on disk: opened as it was written, shared and read-only."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flywheel.errors import IntegrityError
from tests.training.tiny_dataset import AS_OF, rows, usecase, write
from training.data.dataset import Columns, Rows, open_dataset
from training.data.encoding import write_dataset
from training.data.split import split


def test_it_is_opened_as_it_was_written(tmp_path: Path) -> None:
    written = write(tmp_path, usecase(folds=2))
    assert written.folder is not None
    again = open_dataset(written.folder)
    assert again.digest == written.digest
    assert again.columns == written.columns
    assert again.folds == written.folds
    assert np.array_equal(again.matrix, written.matrix, equal_nan=True)


def test_parts_are_views_and_writing_reaches_nobody_else(tmp_path: Path) -> None:
    dataset = write(tmp_path, usecase())
    part = dataset.folds[-1].train
    assert np.shares_memory(part.take(dataset.matrix), dataset.matrix)
    before = dataset.matrix.copy()
    part.take(dataset.matrix)[:] = 0
    assert dataset.folder is not None
    assert np.array_equal(open_dataset(dataset.folder).matrix, before, equal_nan=True)


def test_a_part_with_purged_rows_is_kept_by_its_rows(tmp_path: Path) -> None:
    case = usecase(data={"group": "colour"})
    place = pl.int_range(pl.len())
    frame = rows().with_columns(colour=pl.when((place < 24) | (place == 499)).then(pl.lit("both")))
    made = split(frame, case, AS_OF)
    dataset = write_dataset(tmp_path / "d", made.rows.select("x"), made, "binary")
    train = dataset.folds[-1].train
    assert made.purged == {"train": 24}
    assert train.chosen is not None
    assert len(train) == train.stop - 24
    assert train.take(dataset.label).tolist() == made.frame(made.train)["y"].to_list()


def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    dataset = write(tmp_path, usecase())
    assert dataset.folder is not None
    (dataset.folder / "label.npy").unlink()
    with pytest.raises(IntegrityError, match=r"cannot be read.*Start the training again"):
        open_dataset(dataset.folder)
    (dataset.folder / "label.npy").write_bytes(b"no array")
    with pytest.raises(IntegrityError, match="cannot be read"):
        open_dataset(dataset.folder)


def test_columns_survive_their_document() -> None:
    columns = Columns(("a", "b"), (None, ("x", "y")))
    assert Columns.from_document(columns.document()) == columns


def test_everything_is_all_rows(tmp_path: Path) -> None:
    dataset = write(tmp_path, usecase())
    assert dataset.everything == Rows(0, 500)
