"""Units of an experiment from the prediction log: pure functions on the frames that hold it.

A unit is assigned when its first request comes, is measured for the plan's `window` from then on, and enters once, with
what was known `settle` after that; so its value never changes, which is what a sequence of looks needs.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl

from deploy.experiments.measures import Conversion, Cost, Failures, Latency, Measure, Revenue
from deploy.experiments.plan import Experiment
from deploy.experiments.units import Units, once
from flywheel.errors import UsageError
from flywheel.fields import read_fields
from flywheel.records import join_outcomes

SCORED = "scored"
REMEDY = "Look whether requests name their unit, and whether the arm gets traffic."
LATE = timedelta(days=1)  # a request that came longer after its event time than this, has perhaps that of old data


def units_of_log(plan: Experiment, predictions: pl.DataFrame, outcomes: pl.DataFrame, as_of: datetime) -> Units:
    """Bring predictions and outcomes to one row a unit; see `deploy.experiments.units`. All times are event times.

    Args:
        plan: Names arms, measures, start and window.
        predictions: Prediction records with `answered` (`flywheel.records.answered`), from before the start too where
            the plan has a covariate.
        outcomes: Outcome records.
        as_of: Naive UTC; nothing known later is used.

    Raises:
        UsageError: The log has no unit in one of the plan's arms, or the plan lacks what the log needs.
    """
    during = _during(plan, as_of)
    requests = predictions.filter(during)
    _check(plan, requests)
    assigned = _assigned(plan, requests)
    # All predictions are joined: an entity's outcome may belong to one that is not in the experiment.
    answers = _within(_decided(join_outcomes(predictions, outcomes, as_of).filter(during)), assigned)
    requests = _within(requests, assigned)
    rows, measures = assigned.rename({"first": "time"}), plan.measures()
    for name, measure in measures.items():
        frame = requests if isinstance(measure, Failures) else answers
        rows = rows.join(frame.group_by("unit").agg(_measured(measure).alias(f"m:{name}")), on="unit", how="left")
        if isinstance(measure, Conversion | Revenue):
            rows = rows.with_columns(pl.col(f"m:{name}").fill_null(0.0))  # who got no answer did nothing
    due = pl.when(pl.col("known") <= as_of)
    rows = rows.with_columns(due.then(pl.col(f"m:{name}")).alias(f"m:{name}") for name in measures)
    rows = rows.join(_history(plan, predictions, outcomes), on="unit", how="left")
    return replace(once(rows.with_columns(pl.col("covariate").fill_null(0.0)), measures), as_of=as_of)


def late_events(plan: Experiment, records: pl.LazyFrame) -> str | None:
    """Say that an experiment's requests name event times of long before they came; None where none does.

    Args:
        plan: Names arms and start.
        records: Of its use case, from any time: `unit`, `arm`, `rollout`, `event_time`, `recorded_time`.
    """
    own = pl.col("unit").is_not_null() & pl.col("arm").is_in(list(plan.shares))
    if plan.begin is not None:
        own &= pl.col("recorded_time") >= plan.begin
    if plan.rollout is not None:
        own &= pl.col("rollout") == plan.rollout
    late = pl.col("event_time") < pl.col("recorded_time") - LATE
    told = records.filter(own).select(all=pl.len(), late=late.sum(), last=pl.col("event_time").filter(late).max())
    found = told.collect().row(0, named=True)
    if not found["late"]:
        return None
    return (
        f"{found['late']:,} of {found['all']:,} requests that name their unit came more than a day after their event"
        f" time (the last of these {found['last']:%Y-%m-%d %H:%M}), and an experiment counts days and units by that:"
        " send rows with the event time of the request."
    )


def _during(plan: Experiment, as_of: datetime) -> pl.Expr:
    """Say which records are the experiment's."""
    chosen = pl.col("unit").is_not_null() & pl.col("arm").is_in(list(plan.shares)) & (pl.col("event_time") <= as_of)
    if plan.begin is not None:
        chosen &= pl.col("event_time") >= plan.begin
    if plan.rollout is not None:
        chosen &= pl.col("rollout") == plan.rollout
    return chosen


def _check(plan: Experiment, during: pl.DataFrame) -> None:
    present = set(during["arm"].unique())
    for arm in plan.shares:
        if arm not in present:
            raise UsageError(f"Experiment '{plan.name}': the log has no unit in arm '{arm}' since the start. {REMEDY}")


def _assigned(plan: Experiment, during: pl.DataFrame) -> pl.DataFrame:
    """Return when each unit came first to each arm it was seen in, and when its measures are complete."""
    arms = during.group_by("unit", "arm").agg(pl.col("event_time").min().alias("first"))
    return arms.with_columns(known=pl.col("first") + plan.window + plan.settle, end=pl.col("first") + plan.window)


def _within(frame: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
    """Return the records of each unit in its window; `in_time` where an outcome was known when the unit entered."""
    windows = assigned.group_by("unit").agg(pl.col("end", "known").min())
    own = frame.join(windows, on="unit").filter(pl.col("event_time") < pl.col("end"))
    return own.with_columns(in_time=pl.col("time_known") <= pl.col("known")) if "time_known" in own.columns else own


def _decided(joined: pl.DataFrame) -> pl.DataFrame:
    """Add `answer`: the probability that a binary model gave, or the number of another one."""
    outputs = read_fields(joined, "outputs", {"probability": "double", "prediction": "double"})
    return joined.with_columns(outputs.select(answer=pl.coalesce("probability", "prediction"))["answer"])


def _measured(measure: Measure) -> pl.Expr:
    """Return what a unit's records measure; null where they measure nothing."""
    outcome = pl.when(pl.col("in_time")).then(pl.col("outcome"))
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
    """Return the cost of each decision; null where its outcome is neither 0 nor 1, or there was no answer."""
    decided = pl.col("answer") >= measure.threshold
    where_one = pl.when(decided).then(measure.true_positive).when(~decided).then(measure.false_negative)
    where_zero = pl.when(decided).then(measure.false_positive).when(~decided).then(measure.true_negative)
    return pl.when(outcome == 1).then(where_one).when(outcome == 0).then(where_zero)


def _history(plan: Experiment, predictions: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Return the covariate: the metric's measure before the start, by what was known then."""
    if plan.covariate is None:
        return pl.DataFrame(schema={"unit": pl.String, "covariate": pl.Float64})
    if plan.begin is None:
        raise UsageError(f"Experiment '{plan.name}': start is missing. A covariate from the log needs it.")
    last = plan.begin - timedelta(microseconds=1)
    earlier = pl.col("event_time").is_between(plan.begin - plan.covariate.before, last) & pl.col("unit").is_not_null()
    joined = _decided(join_outcomes(predictions, outcomes, last).filter(earlier))
    measured = _measured(plan.metric.measure).alias("covariate")
    return joined.with_columns(in_time=pl.lit(value=True)).group_by("unit").agg(measured)
