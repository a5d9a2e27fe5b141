"""Where units come from: a file, or the prediction log."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from deploy.experiments.documents import parse_plan
from deploy.experiments.gathering import look_at
from deploy.experiments.logged import REMEDY, late_events, units_of_log
from deploy.experiments.plan import Experiment
from deploy.experiments.table_file import read_table
from deploy.experiments.units import Units, units_of_table
from flywheel.errors import UsageError
from flywheel.records import answered, prediction_schema
from flywheel.storage import PredictionLog

# What an experiment needs of a record: inputs are most of it, and stay on disk.
RECORDED = [
    *(
        "request_id",
        "attempt",
        "row",
        "prediction_id",
        "event_time",
        "recorded_time",
        "rollout",
        "arm",
        "unit",
        "entity",
    ),
    *("outputs", "status", "latency_ms"),
]


def look_of_log(plan: Mapping[str, Any], log: PredictionLog, as_of: datetime) -> dict[str, Any]:
    """Return the look that `judge_experiment` takes, with all that the log knows at a time (naive UTC).

    Raises:
        UsageError: The plan is not as documented, or the log has no unit in one of its arms.
    """
    checked = parse_plan(plan, "The plan")
    return look_at(checked, logged_units(checked, log, as_of), as_of).to_json()


def units_from(plan: Experiment, data: Path | None, log_root: Path, now: datetime) -> Units:
    """Read a file of units, or without one the log of the plan's use case.

    Raises:
        UsageError: The plan names no use case that has a log, or the data are not as documented.
    """
    if data is not None:
        return units_of_table(plan, read_table(data), str(data))
    return logged_units(plan, PredictionLog(log_root), now)


def logged_units(plan: Experiment, log: PredictionLog, as_of: datetime) -> Units:
    """Read the log of the plan's use case, from the start on, or from as much earlier as the covariate looks back.

    Raises:
        UsageError: The plan names no use case that has a log, or an arm has no unit.
    """
    if plan.usecase is None:
        raise UsageError(f"Experiment '{plan.name}' names no usecase. Name one there, or give --data FILE.")
    if plan.usecase not in log.use_cases():
        known = ", ".join(log.use_cases()) or "none"
        raise UsageError(f"Use case '{plan.usecase}' has no predictions here. Known: {known}.")
    begin = plan.begin
    start = begin - plan.covariate.before if begin is not None and plan.covariate is not None else begin
    records = log.scan(plan.usecase, "predictions", prediction_schema(None)).select(RECORDED)
    if start is not None:
        records = records.filter(pl.col("event_time") >= start)
    predictions = answered(records.collect(), log.requests(plan.usecase))
    try:
        return units_of_log(plan, predictions, log.outcomes(plan.usecase), as_of)
    except UsageError as fault:
        late = old_rows(plan, log) if REMEDY in str(fault) else None
        if late is None:
            raise
        raise UsageError(str(fault).replace(REMEDY, late)) from fault


def old_rows(plan: Experiment, log: PredictionLog) -> str | None:
    """Say that requests of the plan's use case name event times of long before they came; None where none does."""
    if plan.usecase not in log.use_cases():
        return None
    return late_events(plan, log.scan(plan.usecase, "predictions", prediction_schema(None)))
