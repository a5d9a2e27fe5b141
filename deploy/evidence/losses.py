"""Losses and business measures of answers whose outcome is known, cut at the plan's bounds; larger is worse. Pure."""

import numpy as np
import polars as pl

from deploy.evidence.plan import Decided, EvidencePlan, Gain, Loss
from deploy.evidence.reader import OUTPUT
from flywheel.statistics import Floats, row_losses


def losses(rows: pl.DataFrame, plan: EvidencePlan, loss: Loss, prefix: str = OUTPUT) -> pl.Series:
    """Return the loss of each row, (n,), within the bounds; null where it has no outcome or no prediction.

    Args:
        rows: With outputs (named with `prefix`), `outcome` and `label`.
        plan: Names the task.
        loss: Its kind and bounds.
        prefix: Whose outputs: the answer's, or the shadow's.
    """
    if plan.task == "multiclass":
        raw = _of_classes(rows, prefix)
    else:
        outcome, prediction = _numbers(rows["outcome"]), _numbers(rows[prefix + plan.value])
        raw = _of_numbers(outcome, prediction, loss) if plan.task == "regression" else _of_two(outcome, prediction)
    return pl.Series("value", np.clip(raw, loss.low, loss.high)).fill_nan(None)


def _of_two(outcome: Floats, prediction: Floats) -> Floats:
    label = np.where(np.isnan(outcome), np.nan, outcome > 0.5)
    return row_losses("binary", label, prediction)


def _of_numbers(outcome: Floats, prediction: Floats, loss: Loss) -> Floats:
    off = (prediction - outcome) / loss.spread
    return np.asarray(off**2 if loss.kind == "squared_error" else np.abs(off), dtype=np.float64)


def _of_classes(rows: pl.DataFrame, prefix: str) -> Floats:
    """Log-loss of the class that became true; one that the version does not know had the probability 0."""
    start = f"{prefix}probability_"
    chances = {name.removeprefix(start): name for name in rows.columns if name.startswith(start)}
    own = pl.lit(0.0)
    for label, column in chances.items():
        own = pl.when(pl.col("label") == label).then(pl.col(column).fill_null(0.0)).otherwise(own)
    answered = pl.col("label").is_not_null() & pl.col(f"{prefix}prediction").is_not_null()
    chance = rows.select(pl.when(answered).then(own).alias("own"))["own"]
    return row_losses("binary", np.ones(len(chance)), _numbers(chance))


def measures(rows: pl.DataFrame, kpi: Gain | Decided) -> pl.Series:
    """Return the business measure of each row as a loss, (n,), within its bounds; null where it is not known."""
    outcome = _numbers(rows["outcome"])
    if isinstance(kpi, Gain):
        return pl.Series("value", -np.clip(outcome, kpi.low, kpi.high)).fill_nan(None)
    yes = _decisions(rows, kpi)
    label = np.where(np.isnan(outcome), np.nan, outcome > 0.5)
    costs = np.where(yes, (1 - label) * kpi.costs.false_positive, label * kpi.costs.false_negative)
    return pl.Series("value", np.clip(np.where(np.isnan(yes), np.nan, costs), kpi.low, kpi.high)).fill_nan(None)


def _decisions(rows: pl.DataFrame, kpi: Decided) -> Floats:
    """Return 1 where the version decided yes: as it says itself, else by its threshold; NaN where neither is known."""
    said = f"{OUTPUT}decision"
    least = pl.col("model_version").replace_strict(kpi.thresholds, default=None, return_dtype=pl.Float64)
    by_threshold = pl.col(f"{OUTPUT}probability") >= (least if kpi.thresholds else pl.lit(None, pl.Float64))
    own = [pl.col(said)] if said in rows.columns else []
    return _numbers(rows.select(yes=pl.coalesce(*own, by_threshold))["yes"])


def _numbers(column: pl.Series) -> Floats:
    return np.asarray(column.cast(pl.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)
