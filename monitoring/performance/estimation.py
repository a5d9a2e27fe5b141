"""What a window's metrics will be, from its answers alone and from all rows whose outcome is known by then."""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from flywheel.statistics import Floats, row_losses
from flywheel.usecase import Costs, Task
from monitoring.performance.calibration import calibrate
from monitoring.performance.error_model import learn_errors
from monitoring.performance.expected import expected_metrics
from monitoring.performance.expected_classes import (
    class_shares,
    classes_of,
    expected_of_classes,
    probabilities_of,
)

NO_INPUTS = ("event_time", "time_known", "model_version", "outcome", "loss", "decided")


def known_rows(version: str, sample: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Return a version's reference sample in the form of labelled rows of the log.

    Args:
        version: The registry's number.
        sample: `reference.parquet` of its package: inputs, `prediction` and `label`.
        task: binary or regression.

    Returns:
        Its inputs, `model_version`, `prediction`, `outcome` and `loss`.
    """
    outcome = sample["label"].cast(pl.Float64)
    loss = row_losses(task, outcome.to_numpy(), sample["prediction"].cast(pl.Float64).to_numpy())
    return sample.drop("label").with_columns(
        pl.lit(version).alias("model_version"), outcome.alias("outcome"), pl.Series("loss", loss)
    )


def expect(rows: pl.DataFrame, known: pl.DataFrame, task: Task, costs: Costs | None = None) -> dict[str, float]:
    """Return the metrics to be expected of rows without outcomes; empty where nothing can be said.

    Each version's answers are read by that version's own known rows.

    Args:
        rows: n_rows with `model_version` and `prediction`; for binary `decided` where the threshold is not .5, for
            multiclass `probability_<class>` of each class, for regression the inputs.
        known: Labelled rows: what `known_rows` returns, and those of the log whose outcome was known before the window
            began, with the same columns. For multiclass there may be none.
        task: Of the use case.
        costs: Of wrong decisions.
    """
    if task != "multiclass":
        rows = rows.filter(pl.col("model_version").is_in(known["model_version"].unique().implode()))
    if rows.is_empty():
        return {}
    parts = rows.partition_by("model_version", maintain_order=True)
    pairs = [(part, known.filter(pl.col("model_version") == part["model_version"][0])) for part in parts]
    if task == "multiclass":
        return _of_classes(pairs)
    values = np.concatenate([_by_version(part, own, task) for part, own in pairs])
    if task == "regression":
        return {"rmse": math.sqrt(float(values.mean()))}
    rows = pl.concat(parts)
    decided = rows["decided"].to_numpy() if "decided" in rows.columns else None
    return expected_metrics(_numbers(rows["prediction"]), values, costs, decided)


def _of_classes(pairs: Sequence[tuple[pl.DataFrame, pl.DataFrame]]) -> dict[str, float]:
    """Return log_loss and accuracy over all versions that answered with probabilities of classes."""
    found = []
    for rows, known in pairs:
        classes = classes_of(rows)
        if classes:
            answered = probabilities_of(rows, classes)
            learned = known.filter(pl.col("outcome").is_not_null()) if classes == classes_of(known) else known.clear()
            before = probabilities_of(learned, classes) if learned.height else np.empty((0, len(classes)))
            shares = class_shares(answered, before, learned["outcome"].to_list(), classes)
            found.append(np.column_stack(expected_of_classes(answered, shares)))
    if not found:
        return {}
    loss, right = np.concatenate(found).mean(axis=0)
    return {"log_loss": float(loss), "accuracy": float(right)}


def _by_version(rows: pl.DataFrame, known: pl.DataFrame, task: Task) -> Floats:
    """Return each row's share of 1, or its squared error, to be expected by one version's known rows."""
    if task == "binary":
        positive = (known["outcome"] > 0.5).cast(pl.Float64)
        return calibrate(_numbers(known["prediction"]), _numbers(positive))(_numbers(rows["prediction"]))
    inputs = [name for name, kind in known.schema.items() if name not in NO_INPUTS and not kind.is_temporal()]
    return learn_errors(known, [name for name in inputs if name in rows.columns]).expected(rows)


def _numbers(column: pl.Series) -> Floats:
    return np.asarray(column.cast(pl.Float64).to_numpy(), dtype=np.float64)
