"""From a frame of features to the dataset of a study: codes for categories and labels, and the arrays on disk."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.lib.format import open_memmap

from flywheel.errors import DataError
from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.data.dataset import Columns, Dataset, seal
from training.data.split import Split
from training.packaging.model_code import encode

MOST_CATEGORIES = 500  # rarer values count as missing
CHUNK = 250_000  # rows that are encoded at once, so that no second matrix ever lies in memory


def make_columns(features: pl.DataFrame) -> Columns:
    """Say how each feature is encoded: text by the codes of its most frequent values, sorted; all else as a number.

    Args:
        features: One row of features for each raw row, n_rows by n_features.
    """
    return Columns(
        tuple(features.columns),
        tuple(_values(features[name]) if _is_text(kind) else None for name, kind in features.schema.items()),
    )


def _is_text(kind: pl.DataType) -> bool:
    return kind in (pl.String, pl.Categorical, pl.Enum)


def _values(column: pl.Series) -> tuple[str, ...]:
    name = column.name or "value"
    counts = column.drop_nulls().cast(pl.String).rename(name).value_counts(name="__rows")
    # Among equally frequent values the alphabet decides, so that the same rows give the same codes.
    frequent = counts.sort(["__rows", name], descending=[True, False]).head(MOST_CATEGORIES)
    return tuple(sorted(frequent[name].to_list()))


def code_labels(label: pl.Series, task: Task) -> tuple[Floats, tuple[str, ...]]:
    """Turn a label column without missing values into numbers, and name the classes of a multiclass one by code.

    Returns:
        (n_rows,) of 0/1, class codes, or numbers; and the classes: sorted, empty unless the task is multiclass.

    Raises:
        DataError: A regression label is no number, or a binary one neither 0 nor 1.
    """
    if task == "multiclass":
        classes = label.unique().sort()
        codes = label.replace_strict(classes, pl.int_range(len(classes), eager=True), return_dtype=pl.Float64)
        return codes.to_numpy(), tuple(classes.cast(pl.String).to_list())
    if label.dtype != pl.Boolean and not label.dtype.is_numeric():
        raise DataError(
            f"Label '{label.name}' is of type {label.dtype}; task {task} needs numbers. Correct usecase.yaml."
        )
    numbers = label.cast(pl.Float64).to_numpy()
    if not np.isfinite(numbers).all():
        raise DataError(f"Label '{label.name}' is infinite or no number in some rows. Correct the source.")
    if task == "binary" and not np.isin(numbers, (0.0, 1.0)).all():
        raise DataError(f"Label '{label.name}' holds values other than 0 and 1. Say label.positive in usecase.yaml.")
    return numbers, ()


def write_dataset(
    folder: Path, features: pl.DataFrame, split: Split, task: Task, *, half_life: timedelta | None = None
) -> Dataset:
    """Encode the features of all labelled rows into `folder`, and open what was written.

    Args:
        folder: Is made; another process on this machine opens the same one with `training.data.dataset.open_dataset`.
        features: Of `split.rows`, row for row.
        split: Rows, labels and parts.
        task: Says how labels are coded.
        half_life: After which a row weighs half.

    Raises:
        DataError: The label does not suit the task.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = make_columns(features)
    label, classes = code_labels(split.rows[split.label], task)
    _write_matrix(folder / "matrix.npy", features, columns)
    np.save(folder / "label.npy", label)
    np.save(folder / "time.npy", split.rows[split.time].dt.epoch("us").to_numpy())
    parts = {"test": split.test}
    for number, fold in enumerate(split.folds):
        parts |= {f"train-{number}": fold.train, f"validation-{number}": fold.validation}
    document = {"task": task, "columns": columns.document(), "classes": list(classes), "folds": len(split.folds)}
    if half_life is not None:  # no key where it is not asked for: the digest names studies of earlier releases too
        document["half_life"] = half_life // timedelta(microseconds=1)
    return seal(folder, document, parts)


def _write_matrix(path: Path, features: pl.DataFrame, columns: Columns) -> None:
    document = columns.document()
    matrix = open_memmap(path, mode="w+", dtype=np.float32, shape=(features.height, features.width))
    for start in range(0, features.height, CHUNK):
        matrix[start : start + CHUNK] = encode(features.slice(start, CHUNK), document)
    matrix.flush()
