"""Units of an experiment from the prediction log: pure functions on the frames that hold it.

A unit is assigned when its first request comes, is measured for the plan's `window` from then on, and enters once, with
what was known `settle` after that; so its value never changes, which is what a sequence of looks needs.
"""

from datetime import datetime, timedelta

import polars as pl

from deploy.experiments.measures import Conversion, Cost, Failures, Latency, Measure, Revenue
from deploy.experiments.plan import Experiment
from deploy.experiments.units import Units, once
from flywheel.errors import UsageError
from flywheel.records import join_outcomes

SCORED = "scored"


def units_of_log(plan: Experiment, predictions: pl.DataFrame, outcomes: pl.DataFrame, as_of: datetime) -> Units:
    """Bring predictions and outcomes to one row a unit; see `deploy.experiments.units`.

    Args:
        plan: Names arms, measures, start and window.
        predictions: Prediction records with `answered` (`flywheel.records.answered`), from before the start too where
            the plan has a covariate.
        outcomes: Outcome records.
        as_of: Naive UTC; nothing known later is used.

    Raises:
        UsageError: The log has no unit in one of the plan's arms.
    """
    during = _during(plan, predictions, as_of)
    _check(plan, during)
    seen = _firsts(plan, during)
    joined = join_outcomes(during, outcomes, as_of).join(seen.select("unit", "first", "known"), on="unit")
    within = joined.filter(pl.col("event_time") < pl.col("first") + plan.window)
    measures = {plan.metric.name: plan.metric.measure, **{name: one.measure for name, one in plan.guardrails.items()}}
    rows = seen.select("unit", "arm", time="first", known="known")
    requests = during.join(seen.select("unit", "first"), on="unit").filter(
        pl.col("event_time") < pl.col("first") + plan.window
    )
    for name, measure in measures.items():
        frame = requests if isinstance(measure, Failures) else within
        values = frame.group_by("unit").agg(
            _measured(measure, pl.col("time_known") <= pl.col("known")).alias(f"m:{name}")
        )
        rows = rows.join(values, on="unit", how="left")
        if isinstance(measure, Conversion | Revenue):  # who did nothing is 0
            rows = rows.with_columns(pl.col(f"m:{name}").fill_null(0.0))
    due = pl.col("known") <= as_of
    rows = rows.with_columns(pl.when(due).then(pl.col(f"m:{name}")) for name in measures)
    history = _history(plan, predictions, outcomes)
    return once(rows.join(history, on="unit", how="left").with_columns(pl.col("covariate").fill_null(0.0)), measures)


def _during(plan: Experiment, predictions: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    chosen = pl.col("unit").is_not_null() & pl.col("arm").is_in(list(plan.shares)) & (pl.col("event_time") <= as_of)
    if plan.begin is not None:
        chosen &= pl.col("event_time") >= plan.begin
    if plan.rollout is not None:
        chosen &= pl.col("rollout") == plan.rollout
    return predictions.filter(chosen)


def _check(plan: Experiment, during: pl.DataFrame) -> None:
    present = set(during["arm"].unique())
    for arm in plan.shares:
        if arm not in present:
            raise UsageError(
                f"Experiment '{plan.name}': the log has no unit in arm '{arm}' since the start."
                " Look whether requests name their unit, and whether the arm gets traffic."
            )


def _firsts(plan: Experiment, during: pl.DataFrame) -> pl.DataFrame:
    """Return when each unit came first to each arm it was seen in, and when its measures are complete."""
    arms = during.group_by("unit", "arm").agg(pl.col("event_time").min().alias("first"))
    return arms.with_columns(known=pl.col("first") + plan.window + plan.settle)


def _measured(measure: Measure, in_time: pl.Expr) -> pl.Expr:
    """Return what a unit measures; `in_time` says which outcomes are known early enough."""
    outcome = pl.when(in_time).then(pl.col("outcome"))
    match measure:
        case Conversion():
            return (outcome > 0).any().cast(pl.Float64)
        case Revenue():
            return outcome.sum()
        case Cost():
            costs = _costs(measure, outcome)
            return pl.when(costs.is_not_null().any()).then(costs.sum())
        case Latency(cap=cap):
            return pl.col("latency_ms").clip(upper_bound=cap).mean()
        case Failures():
            return (pl.col("status") != SCORED).mean()


def _costs(measure: Cost, outcome: pl.Expr) -> pl.Expr:
    decided = pl.col("outputs").struct.field("prediction") >= measure.threshold
    right = pl.when(decided).then(pl.lit(measure.true_positive)).otherwise(pl.lit(measure.false_negative))
    wrong = pl.when(decided).then(pl.lit(measure.false_positive)).otherwise(pl.lit(measure.true_negative))
    return pl.when(outcome == 1).then(right).when(outcome == 0).then(wrong)


def _history(plan: Experiment, predictions: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Return the covariate: the metric's measure before the start, by what was known then."""
    if plan.covariate is None:
        return pl.DataFrame(schema={"unit": pl.String, "covariate": pl.Float64})
    if plan.begin is None:
        raise UsageError(f"Experiment '{plan.name}': start is missing. A covariate from the log needs it.")
    start, length = plan.begin, plan.covariate.before
    before = predictions.filter(pl.col("event_time").is_between(start - length, start - timedelta(microseconds=1)))
    joined = join_outcomes(before.filter(pl.col("unit").is_not_null()), outcomes, start)
    measured = _measured(plan.metric.measure, pl.lit(value=True))
    return joined.group_by("unit").agg(measured.alias("covariate"))
