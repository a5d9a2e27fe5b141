"""The encoded rows of one study: computed once, kept as plain arrays on disk, mapped into memory by every worker.

    FOLDER/dataset.json   columns, task, classes, parts, digest
           matrix.npy     float32 (n_rows, n_features), C order: numbers, codes of categories, NaN for missing
           label.npy      float64 (n_rows,): 0/1, class codes, or numbers
           time.npy       int64 (n_rows,): event time in microseconds since 1970, rising
           rows-K.npy     int64, rising: rows of a part that is no unbroken stretch, after groups were purged from it

The rows are all labelled rows in order of time: those of the gaps too, which the last fit on everything uses.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from flywheel.errors import IntegrityError
from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.data.weights import row_weights

Matrix = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Array = TypeVar("Array", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class Columns:
    """The features in the matrix's order. `categories` gives a category column's values, by code; None for numbers."""

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...] | None, ...]

    @property
    def is_category(self) -> tuple[bool, ...]:
        """Say of each column whether it holds codes."""
        return tuple(values is not None for values in self.categories)

    def document(self) -> list[dict[str, Any]]:
        """Return the same as `encoding.json`'s list of {"name", "categories"}."""
        return [
            {"name": name, "categories": None if values is None else list(values)}
            for name, values in zip(self.names, self.categories, strict=True)
        ]

    @classmethod
    def from_document(cls, document: list[dict[str, Any]]) -> "Columns":
        """Read what `document` wrote."""
        categories = [entry["categories"] for entry in document]
        return cls(
            tuple(entry["name"] for entry in document),
            tuple(None if values is None else tuple(values) for values in categories),
        )


@dataclass(frozen=True)
class Rows:
    """Some rows in order of time: those from `start` up to `stop`, or only the `chosen` among them (rising)."""

    start: int
    stop: int
    chosen: Indices | None = None

    def __len__(self) -> int:
        return self.stop - self.start if self.chosen is None else len(self.chosen)

    def take(self, values: Array) -> Array:
        """Return these rows of an array: a view of an unbroken stretch, else a copy."""
        return cast(Array, values[self.start : self.stop] if self.chosen is None else values[self.chosen])


@dataclass(frozen=True)
class Fold:
    """One origin: the rows that are fitted, and the later rows that the fit is scored on."""

    train: Rows
    validation: Rows


@dataclass(frozen=True)
class Dataset:
    """What a worker needs of the data.

    The arrays are shared with other processes, and nobody copies the whole of them; whoever wrote into them would spoil
    the later fits of its own process. `time` is in microseconds since 1970; `classes` names the codes of a multiclass
    label. The last of `folds` is the split's own train and validation part; `test` is touched by no search. Rows lose
    half their weight each `half_life` microseconds.
    """

    task: Task
    columns: Columns
    classes: tuple[str, ...]
    matrix: Matrix
    label: Floats
    time: npt.NDArray[np.int64]
    folds: tuple[Fold, ...]
    digest: str
    test: Rows = Rows(0, 0)
    folder: Path | None = None
    half_life: int | None = None

    def weight(self, rows: Rows) -> Floats | None:
        """Return how much each of some rows counts, (n_rows,); None: all alike."""
        return None if self.half_life is None else row_weights(rows.take(self.time), self.half_life)

    @property
    def everything(self) -> Rows:
        """All labelled rows."""
        return Rows(0, len(self.label))

    @property
    def n_classes(self) -> int:
        """Return 2 for binary, the number of classes for multiclass, 0 for regression."""
        return {"binary": 2, "multiclass": len(self.classes), "regression": 0}[self.task]


def seal(folder: Path, document: Mapping[str, Any], parts: Mapping[str, Rows]) -> Dataset:
    """Write `dataset.json` beside arrays that lie in `folder` already, with their digest, and open the whole.

    Args:
        folder: Holds matrix.npy, label.npy and time.npy.
        document: `task`, `columns` (as `Columns.document`), `classes`, `folds` (how many), and `half_life` if any.
        parts: `train-K` and `validation-K` of each fold, and `test`.
    """
    stretches: dict[str, dict[str, Any]] = {}
    for name, rows in parts.items():
        file = None
        if rows.chosen is not None:
            file = f"rows-{name}.npy"
            np.save(folder / file, rows.chosen)
        stretches[name] = {"start": rows.start, "stop": rows.stop, "file": file}
    whole = {**document, "parts": stretches}
    (folder / "dataset.json").write_text(json.dumps({**whole, "digest": _digest(folder, whole)}, indent=1))
    return open_dataset(folder)


def open_dataset(folder: Path) -> Dataset:
    """Map a written dataset into memory; what is written into the arrays reaches neither file nor other processes.

    Raises:
        IntegrityError: It is not there, or not whole.
    """
    try:
        document = json.loads((folder / "dataset.json").read_text())
        parts = {name: _rows(folder, part) for name, part in document["parts"].items()}
        matrix, label, time = (_mapped(folder / f"{name}.npy") for name in ("matrix", "label", "time"))
    except (OSError, ValueError, KeyError) as fault:
        raise IntegrityError(f"The dataset {folder} cannot be read: {fault}. Start the training again.") from fault
    return Dataset(
        task=document["task"],
        columns=Columns.from_document(document["columns"]),
        classes=tuple(document["classes"]),
        matrix=matrix,
        label=label,
        time=time,
        folds=tuple(Fold(parts[f"train-{k}"], parts[f"validation-{k}"]) for k in range(document["folds"])),
        digest=document["digest"],
        test=parts["test"],
        folder=folder,
        half_life=document.get("half_life"),
    )


def _rows(folder: Path, part: Mapping[str, Any]) -> Rows:
    chosen = None if part["file"] is None else _mapped(folder / part["file"])
    return Rows(part["start"], part["stop"], chosen)


def _mapped(path: Path) -> Any:
    # An ordinary array on the file's pages, which all processes share. Copy-on-write, not read-only: some of
    # scikit-learn's trees refuse arrays that cannot be written to, though they write nothing.
    return np.asarray(np.load(path, mmap_mode="c"))


def _digest(folder: Path, document: Mapping[str, Any]) -> str:
    total = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for path in sorted(folder.glob("*.npy")):
        with path.open("rb") as file:
            total.update(f"\n{path.name} ".encode() + hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{total.hexdigest()}"
