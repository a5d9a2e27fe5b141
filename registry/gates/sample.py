"""The labelled rows that travel with a package: held-out test rows, with what was predicted for them then.

`prediction` in reference.parquet is of the model that had not seen the rows: it says how good a version is. The
packaged model was fitted again on all labelled rows, these included: answers.parquet says what that one answers, which
is what a server must answer too.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.errors import IntegrityError
from flywheel.package import INSIDE, ModelPackage
from flywheel.statistics import Floats, row_losses
from flywheel.usecase import Task

ANSWERS = "answers.parquet"


@dataclass(frozen=True)
class Sample:
    """n_rows labelled rows in order of time.

    Attributes:
        task: What is predicted.
        inputs: n_rows by the contract's columns.
        predicted: As reference.parquet has it: a probability, a number, or the name of a class.
        labelled: 0 or 1, a number, or the name of a class.
        answers: n_rows by the outputs, what the packaged model answers; None in packages that do not say.
        event_time: The column of the time.
    """

    task: Task
    inputs: pl.DataFrame
    predicted: pl.Series
    labelled: pl.Series
    answers: pl.DataFrame | None
    event_time: str

    @cached_property
    def label(self) -> Floats:
        """The labels as numbers, (n_rows,): for multiclass 1 where the predicted class was right, else 0."""
        if self.task == "multiclass":
            return np.ones(len(self.labelled))
        return np.asarray(self.labelled.cast(pl.Float64).to_numpy(), dtype=np.float64)

    @cached_property
    def losses(self) -> Floats:
        """The loss of each row, (n_rows,): log-loss, squared error, or for classes 1 where the wrong one was named.

        The sample holds no probabilities of classes, so their log-loss cannot be known from it.
        """
        return losses_of(self, self.predicted)

    @property
    def loss_name(self) -> str:
        """What `losses` are."""
        return {"binary": "log-loss", "multiclass": "error rate", "regression": "squared error"}[self.task]

    @cached_property
    def days(self) -> npt.NDArray[np.int64]:
        """The day of each row, (n_rows,), in days since 1970."""
        return np.asarray(self.inputs[self.event_time].dt.epoch("d").to_numpy(), dtype=np.int64)

    def keep(self, rows: pl.Series) -> "Sample":
        """Return the rows where a boolean series is true."""
        return Sample(
            self.task,
            self.inputs.filter(rows),
            self.predicted.filter(rows),
            self.labelled.filter(rows),
            self.answers.filter(rows) if self.answers is not None else None,
            self.event_time,
        )


def losses_of(sample: Sample, predicted: pl.Series) -> Floats:
    """Return each row's loss under predictions as reference.parquet names them, (n_rows,)."""
    if sample.task == "multiclass":
        return np.asarray((sample.labelled != predicted).cast(pl.Float64).to_numpy(), dtype=np.float64)
    return row_losses(sample.task, sample.label, np.asarray(predicted.cast(pl.Float64).to_numpy(), dtype=np.float64))


def main_output(task: Task) -> str:
    """Return the output that reference.parquet's `prediction` is."""
    return "probability" if task == "binary" else "prediction"


def read_sample(package: ModelPackage) -> Sample | None:
    """Read a package's sample; None where it has no rows.

    Raises:
        IntegrityError: reference.parquet cannot be read, lacks a column, or holds another task's labels.
    """
    frame = _read(package.reference)
    names = [column.name for column in package.contract.columns]
    missing = [name for name in (*names, "prediction", "label") if name not in frame.columns]
    if missing:
        raise IntegrityError(f"reference.parquet has no column '{missing[0]}'. Train the model again.")
    if not frame.height:
        return None
    path = package.folder / INSIDE / ANSWERS
    answers = _read(path) if path.is_file() else None
    if answers is not None and answers.height != frame.height:
        raise IntegrityError(f"{ANSWERS} has {answers.height} rows, the sample {frame.height}. Train the model again.")
    sample = Sample(
        package.usecase.task,
        frame.select(names),
        frame["prediction"],
        frame["label"],
        answers,
        package.contract.event_time,
    )
    _check(sample)
    return sample


def _check(sample: Sample) -> None:
    text = sample.task == "multiclass"
    for values in (sample.predicted, sample.labelled):
        wrong = values.dtype != pl.String if text else not (values.dtype.is_numeric() or values.dtype == pl.Boolean)
        if wrong or values.null_count():
            kind = "names of classes" if text else "numbers"
            raise IntegrityError(f"reference.parquet: '{values.name}' must hold {kind}. Train the model again.")


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as fault:
        raise IntegrityError(f"{path.name} cannot be read: {_first_line(fault)}. Train the model again.") from fault


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Read what training measured (evaluation.json); empty for a plain MLflow model.

    Raises:
        IntegrityError: It is there and no JSON object.
    """
    path = folder / INSIDE / "evaluation.json"
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_bytes())
    except ValueError as fault:
        raise IntegrityError(f"evaluation.json is no JSON: {fault}. Train the model again.") from fault
    if not isinstance(document, dict):
        raise IntegrityError("evaluation.json holds no JSON object. Train the model again.")
    return cast(dict[str, Any], document)


def _first_line(fault: Exception) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0].rstrip(".")[:200]
