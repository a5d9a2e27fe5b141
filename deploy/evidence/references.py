"""What a rollout's plan is made from: the champion's recent traffic, errors, predictions and losses, read once.

Bins and bounds are fixed before the start; what the rollout shows never moves them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from deploy.evidence.arms import CHAMPION, failed
from deploy.evidence.losses import losses
from deploy.evidence.plan import Bins, EvidencePlan, Loss, OutputType
from deploy.evidence.reader import OUTPUT
from deploy.verdict.shift import deciles
from flywheel.fields import read_fields
from flywheel.profile import Profile
from flywheel.records import LOGGED_OUTCOMES, NOT_MIRRORED, REQUESTS, answered, join_outcomes, prediction_schema
from flywheel.storage import PredictionLog, reading

TRAFFIC = timedelta(hours=1)
YOUNGEST = timedelta(minutes=1)  # what a shorter time tells of a rate is chance
HISTORY = timedelta(days=1)
# Fewer predictions than this give no deciles.
FEWEST = 100
# What is asked of a model, among all that goes through the gateway: health and documentation do so too.
SCORING = r"/(invocations|infer|ModelInfer)$"
CLASS = "probability_"
# A loss beyond twice the champion's 99.9 % quantile is cut: rare enough not to hide harm, near enough to be powerful.
CUT_QUANTILE, CUT_FACTOR = 0.999, 2.0
# No loss meets it.
UNCUT = 1e12


@dataclass(frozen=True)
class Traffic:
    """What the gateway had of the use case in the last hour.

    Args:
        requests: To be scored; those that a challenger was given are left out.
        requests_per_second: Since the first of them, of all arms.
        error_rate: Of `requests`, 0 to 1; None without any.
    """

    requests: int
    requests_per_second: float
    error_rate: float | None


@dataclass(frozen=True)
class Past:
    """The champion's answers of the last day.

    Args:
        predictions: (n,): probabilities, numbers or names of classes.
        learned: Answers with an outcome, (m, …): outputs, `outcome` and `label`.
    """

    predictions: pl.Series
    learned: pl.DataFrame


def read_traffic(log: PredictionLog, usecase: str, now: datetime) -> Traffic:
    """Read the last hour before `now` (naive UTC).

    Raises:
        StackError: The log cannot be read.
    """
    lines = log.scan(usecase, "requests", REQUESTS).filter(pl.col("time").is_between(now - TRAFFIC, now))
    asked = lines.filter(pl.col("path").str.replace(r"\?.*$", "").str.contains(SCORING) & (pl.col("attempts") > 0))
    with reading(usecase):
        return traffic_of(asked.select("time", "arm", "attempts", "code", "grpc_status").collect(), now)


def traffic_of(lines: pl.DataFrame, now: datetime) -> Traffic:
    """Count the lines (n, …) of the hour before `now`; a service may be younger than that."""
    if lines.is_empty():
        return Traffic(0, 0.0, None)
    first = lines["time"].min()
    span = max(now - first, YOUNGEST) if isinstance(first, datetime) else TRAFFIC
    ours = lines.filter(pl.col("arm").is_null() | (pl.col("arm") == CHAMPION))
    rate = ours.filter(failed()).height / ours.height if ours.height else None
    return Traffic(ours.height, lines.height / span.total_seconds(), rate)


def read_past(log: PredictionLog, usecase: str, version: str, outputs: Mapping[str, OutputType], now: datetime) -> Past:
    """Read a version's answers of the last day before `now` (naive UTC); mirrored ones are left out.

    Raises:
        StackError: The log cannot be read.
    """
    with reading(usecase):
        return _past(log, usecase, version, outputs, now - HISTORY)


def _past(log: PredictionLog, usecase: str, version: str, outputs: Mapping[str, OutputType], begin: datetime) -> Past:
    of_version = (pl.col("recorded_time") >= begin) & (pl.col("model_version") == version) & NOT_MIRRORED
    every = log.scan(usecase, "predictions", prediction_schema(None))
    records = every.filter(of_version & (pl.col("status") == "scored")).drop("inputs").collect()
    value = OUTPUT + ("probability" if "probability" in outputs else "prediction")
    if records.is_empty():
        return Past(pl.Series(value, [], pl.Float64), pl.DataFrame())
    lines = log.scan(usecase, "requests", REQUESTS).filter(pl.col("time") >= begin - TRAFFIC).collect()
    known = log.scan(usecase, "outcomes", LOGGED_OUTCOMES).filter(pl.col("recorded_time") >= begin).collect()
    values = read_fields(records, "outputs", outputs).rename(lambda name: OUTPUT + name)
    joined = join_outcomes(answered(records.hstack(values), lines), known, datetime.max)
    said = pl.col("outcome").is_not_null() | pl.col("label").is_not_null()
    return Past(values[value], joined.filter(said).select(*values.columns, "model_version", "outcome", "label"))


def bins_of(predictions: pl.Series) -> Bins | None:
    """Return the deciles of numbers (n,); None where they are too few, or all the same."""
    known = predictions.cast(pl.Float64).drop_nulls().drop_nans()
    edges = deciles(known.to_list()) if len(known) >= FEWEST else ()
    return Bins(edges=edges) if edges and known.min() != known.max() else None


def bins_of_profile(profile: Profile) -> Bins | None:
    """Return the deciles that a package's reference rows had; None where its predictions are no numbers."""
    quantiles = profile.prediction.quantiles
    edges = tuple(sorted({quantiles[percent] for percent in range(10, 100, 10)})) if len(quantiles) == 101 else ()
    return Bins(edges=edges) if edges else None


def bins_of_classes(outputs: Mapping[str, OutputType]) -> Bins | None:
    """Return a bin for each class of which the outputs give a probability."""
    classes = tuple(name.removeprefix(CLASS) for name in outputs if name.startswith(CLASS))
    return Bins(classes=classes) if classes else None


def loss_of(past: Past, plan: EvidencePlan, kind: str | None = None) -> Loss | None:
    """Return the loss with its bounds, from the champion's recent ones; None where no outcome is known.

    Args:
        past: Of the champion.
        plan: Names the task.
        kind: For numbers squared_error (by default) or absolute_error.
    """
    if past.learned.is_empty():
        return None
    spread = 1.0
    if plan.task == "regression":
        known = past.learned["outcome"].cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
        spread = (float(np.std(known)) if len(known) else 0.0) or 1.0
    wide = uncut(plan, kind).model_copy(update={"spread": spread})
    return cut_by(wide, losses(past.learned, plan, wide).drop_nulls().to_list())


def uncut(plan: EvidencePlan, kind: str | None = None) -> Loss:
    """Return a task's loss, in the outcome's own unit, with bounds that no loss meets; `kind` as in `loss_of`."""
    kind = kind or ("squared_error" if plan.task == "regression" else "log_loss")
    return Loss.model_validate({"kind": kind, "low": 0.0, "high": UNCUT})


def cut_by(wide: Loss, seen: Sequence[float]) -> Loss | None:
    """Return a loss with the upper bound that losses (n,) set it; None where they set none."""
    high = CUT_FACTOR * float(np.quantile(seen, CUT_QUANTILE)) if len(seen) else 0.0
    return wide.model_copy(update={"high": high}) if high > 0 else None
