"""What a window's metrics will be, from its answers alone and from all rows whose outcome is known by then."""

import math

import numpy as np
import polars as pl

from flywheel.statistics import Floats, row_losses
from flywheel.usecase import Costs, Task
from monitoring.performance.calibration import calibrate
from monitoring.performance.error_model import learn_errors
from monitoring.performance.expected import expected_metrics

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
        rows: n_rows with `model_version` and `prediction`, `decided` where the threshold is not .5, and for regression
            the inputs.
        known: Labelled rows: what `known_rows` returns, and those of the log whose outcome was known before the window
            began, with the same columns.
        task: For multiclass nothing is estimated.
        costs: Of wrong decisions.
    """
    learned = known["model_version"].unique()
    rows = rows.filter(pl.col("model_version").is_in(learned.implode()))
    if rows.is_empty() or task == "multiclass":
        return {}
    parts = rows.partition_by("model_version", maintain_order=True)
    values = [
        _by_version(part, known.filter(pl.col("model_version") == part["model_version"][0]), task) for part in parts
    ]
    if task == "regression":
        return {"rmse": math.sqrt(float(np.concatenate(values).mean()))}
    rows = pl.concat(parts)
    decided = rows["decided"].to_numpy() if "decided" in rows.columns else None
    return expected_metrics(_numbers(rows["prediction"]), np.concatenate(values), costs, decided)


def _by_version(rows: pl.DataFrame, known: pl.DataFrame, task: Task) -> Floats:
    """Return each row's share of 1, or its squared error, to be expected by one version's known rows."""
    if task == "binary":
        positive = (known["outcome"] > 0.5).cast(pl.Float64)
        return calibrate(_numbers(known["prediction"]), _numbers(positive))(_numbers(rows["prediction"]))
    inputs = [name for name, kind in known.schema.items() if name not in NO_INPUTS and not kind.is_temporal()]
    return learn_errors(known, [name for name in inputs if name in rows.columns]).expected(rows)


def _numbers(column: pl.Series) -> Floats:
    return np.asarray(column.cast(pl.Float64).to_numpy(), dtype=np.float64)
