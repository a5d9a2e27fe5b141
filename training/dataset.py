"""The encoded rows of one study: computed once, kept as plain arrays on disk, mapped into memory by every worker.

    FOLDER/dataset.json   columns, task, classes, digest
           matrix.npy     float32 (n_rows, n_features), C order: numbers as they are, categories as codes, NaN for missing
           label.npy      float64 (n_rows,): 0/1, class codes, or numbers
           time.npy       int64 (n_rows,): event time in microseconds since 1970, rising
           fold-K-train.npy, fold-K-validation.npy   int64 row indices, rising
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flywheel.statistics import Floats
from flywheel.usecase import Task

Matrix = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """The features in the matrix's order. `categories` gives a category column's values, by code; None for numbers."""

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...] | None, ...]

    @property
    def is_category(self) -> tuple[bool, ...]:
        """Say of each column whether it holds codes."""
        return tuple(values is not None for values in self.categories)


@dataclass(frozen=True)
class Fold:
    """Row indices of one origin: what is fitted on, and the later rows that it is scored on."""

    train: Indices
    validation: Indices


@dataclass(frozen=True)
class Dataset:
    """What a worker needs of the data. The arrays are read-only and shared; nobody copies the whole of them.

    `time` is in microseconds since 1970; `classes` names the codes of a multiclass label.
    """

    task: Task
    columns: Columns
    classes: tuple[str, ...]
    matrix: Matrix
    label: Floats
    time: npt.NDArray[np.int64]
    folds: tuple[Fold, ...]
    digest: str
