"""What versions answered, held against what became true: the prediction and the loss of each row, by task."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from flywheel.contract import Contract
from flywheel.errors import DataError
from flywheel.fields import read_fields
from flywheel.statistics import Floats, row_losses
from flywheel.usecase import Task

CLASS = "probability_"  # and the name of the class


def with_losses(rows: pl.DataFrame, task: Task, contracts: Mapping[str, Contract]) -> pl.DataFrame:
    """Add `prediction`, `loss` (null: no outcome yet) and `unseen` to each row of a window, in their order.

    Args:
        rows: n_rows with `model_version`, `outputs` and `outcome`.
        task: For binary, `prediction` is the probability of 1; for multiclass, the name of a class; else a number.
        contracts: By version.

    Raises:
        DataError: A version in the window has no contract.
    """
    unknown = sorted(set(rows["model_version"].unique()) - contracts.keys())
    if unknown:
        raise DataError(
            f"Version {', '.join(unknown)} answered in this window, but its package with the reference is not here. "
            "Deploy it again, or choose a window without it."
        )
    if rows.is_empty():
        kind = pl.String if task == "multiclass" else pl.Float64
        return rows.with_columns(
            pl.lit(None, kind).alias("prediction"),
            pl.lit(None, pl.Float64).alias("loss"),
            pl.lit(None, pl.Boolean).alias("unseen"),
        )
    parts = [
        _with_losses(part, task, contracts[str(part["model_version"][0])])
        for part in rows.with_row_index("_index").partition_by("model_version")
    ]
    return pl.concat(parts).sort("_index").drop("_index")


def unseen_note(rows: pl.DataFrame) -> str:
    """Return a sentence about outcomes that no version could have foretold, with a space before it; empty without any.

    Args:
        rows: What `with_losses` returns.
    """
    names = rows.filter(pl.col("unseen"))["outcome"]
    if names.is_empty():
        return ""
    first = ", ".join(f"'{name}'" for name in names.unique().sort()[:3])
    return (
        f" {len(names):,} outcomes name a class that their version does not know ({first}): correct them, or retrain."
    )


def _with_losses(rows: pl.DataFrame, task: Task, contract: Contract) -> pl.DataFrame:
    """Judge the rows of one version."""
    outputs = read_fields(rows, "outputs", {output.name: output.type for output in contract.outputs})
    outcome = rows["outcome"]
    if task == "multiclass":
        prediction, losses, unseen = outputs["prediction"], *_losses_of_classes(outputs, outcome)
    else:
        prediction = outputs["probability" if task == "binary" else "prediction"]
        label = outcome > 0.5 if task == "binary" else outcome
        losses = row_losses(task, _numbers(label.cast(pl.Float64)), _numbers(prediction))
        unseen = pl.repeat(False, rows.height, eager=True)
    known = outcome.is_not_null()
    return rows.with_columns(
        prediction.alias("prediction"),
        pl.when(known).then(pl.Series(losses, dtype=pl.Float64)).alias("loss"),
        (known & unseen).alias("unseen"),
    )


def _losses_of_classes(outputs: pl.DataFrame, outcome: pl.Series) -> tuple[Floats, pl.Series]:
    """Return losses and whether the outcome is none of the version's classes; such a one had the probability 0."""
    columns = [name for name in outputs.columns if name.startswith(CLASS)]
    classes = [name.removeprefix(CLASS) for name in columns]
    codes = outcome.cast(pl.Enum(classes), strict=False).to_physical()
    unseen = codes.is_null()
    probabilities = np.column_stack([*(_numbers(outputs[name]) for name in columns), np.zeros(outputs.height)])
    return row_losses("multiclass", _numbers(codes.fill_null(len(classes))), probabilities), unseen


def _numbers(column: pl.Series) -> Floats:
    return np.asarray(column.to_numpy(), dtype=np.float64)
