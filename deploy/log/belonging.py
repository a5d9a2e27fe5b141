"""Which reports of outcomes belong to one prediction, and which of them counts: `flywheel.records.join_outcomes` says.

A report that names the prediction belongs to it; one that names only the entity belongs to the entity's last answer at
or before the event, so that what else the entity was answered by then has to be read too.
"""

from datetime import datetime
from typing import Any

import polars as pl
import structlog

from flywheel.errors import StackError
from flywheel.records import ATTEMPT, REQUESTS, answered, join_outcomes, prediction_schema
from flywheel.storage import PredictionLog, reading

logger = structlog.get_logger()
# What the rules of `answered` and `join_outcomes` look at.
KEYS = [*ATTEMPT, "row", "prediction_id", "event_time", "recorded_time", "arm", "entity", "status"]
IS_NAMED = pl.col("prediction_id").is_not_null()
SAID = ["outcome", "label", "outcome_time", "time_known"]


def outcomes_of(log: PredictionLog, use_case: str, record: dict[str, Any], as_of: datetime) -> list[dict[str, Any]]:
    """Return the reports that belong to a prediction, in order of `time_known`.

    Each has `joined_by`, `prediction_id` or `entity`, and `counts`: whether it is the one by which the prediction is
    judged; null where damage to the log keeps that from being told. None counts for an answer that no client got. By
    entity, only the one that counts is returned.

    Args:
        log: Holds the record.
        use_case: Whose.
        record: Of the prediction.
        as_of: Naive UTC; what is known later does not count yet.
    """
    reports = log.outcomes(use_case, record["prediction_id"], record["entity"]).sort("time_known")
    if reports.is_empty():
        return []
    how = pl.when(IS_NAMED).then(pl.lit("prediction_id")).otherwise(pl.lit("entity"))
    reports = reports.with_columns(joined_by=how)
    try:
        with reading(use_case):
            marked = answered(*_neighbours(log, use_case, record, reports))
    except StackError as fault:  # a file of the log is damaged, perhaps another one than the record's
        logger.warning("which outcome counts cannot be told", reason=str(fault))
        return reports.filter(IS_NAMED).with_columns(counts=pl.lit(None)).to_dicts()
    told = reports.filter(pl.col("outcome").is_not_null() | pl.col("label").is_not_null())
    joined = join_outcomes(marked, told.drop("joined_by"), as_of)
    return _chosen(reports, joined.filter(pl.col("prediction_id") == record["prediction_id"])).to_dicts()


def _chosen(reports: pl.DataFrame, joined: pl.DataFrame) -> pl.DataFrame:
    """Return the reports with `counts`: those that name the prediction, or else the one of the entity that counts."""
    counting = joined.select(SAID).unique(maintain_order=True).rename({"outcome_time": "event_time"})
    mark = counting.with_columns(counts=True)
    found = reports.join(mark, on=counting.columns, how="left", nulls_equal=True, maintain_order="left")
    found = found.with_columns(pl.col("counts").fill_null(value=False))
    # A report of the entity that says the same at the same time as one of the prediction itself counts no second time.
    by_entity = pl.col("counts") & ~(IS_NAMED & pl.col("counts")).any()
    return found.filter(IS_NAMED | by_entity).unique(maintain_order=True)


def _neighbours(
    log: PredictionLog, use_case: str, record: dict[str, Any], reports: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return records that may take a report from a prediction, itself among them, and all lines of their requests.

    Other records of the same requests come along, since ids that clients use again are paired in order of time.
    """
    scan = log.scan(use_case, "predictions", prediction_schema(None)).select(KEYS)
    until = reports["event_time"].max()
    wanted = pl.col("prediction_id") == record["prediction_id"]
    if record["entity"] is not None:
        during = pl.col("event_time").is_between(record["event_time"], until)
        wanted |= during & (pl.col("entity") == record["entity"])
    ids = scan.filter(wanted).select("request_id").unique().collect()["request_id"].to_list()
    is_theirs = pl.col("request_id").is_in(ids)
    lines = log.scan(use_case, "requests", REQUESTS).filter(is_theirs).collect()
    return scan.filter(is_theirs).collect(), lines
