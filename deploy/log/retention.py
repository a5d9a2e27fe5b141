"""How long predictions are kept: what is past the limit goes, with all that belongs to it.

A prediction's age counts from when it was recorded, since its event time is the caller's. An outcome goes with the last
prediction that it can tell of, or by its own age where it tells of none. A request's line begins before its prediction
is recorded, and so stays until none at or after the limit can be its own.

Outcomes go first and predictions last: whatever interrupts it, no outcome is left without its prediction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.dataset import Fragment

from flywheel.erasure import Eraser, moment
from flywheel.records import LOGGED_OUTCOMES, TIME, prediction_schema
from flywheel.storage import PredictionLog, TableName, outcomes_alone

# Longer than any request takes.
REQUEST_LASTS = timedelta(hours=1)
# What an outcome says of its prediction.
KEY = ["prediction_id", "entity", "event_time"]
# When the log took it; tables from before that was kept have the second only.
TAKEN = ("recorded_time", "time_known")


@dataclass(frozen=True)
class Going:
    """What goes of one table: rows, the number of files that they are in, and their bytes there, about."""

    table: TableName
    rows: int
    files: int
    bytes: int


def limit_of(now: datetime, days: int) -> datetime:
    """Return the begin of the first UTC day that stays (naive UTC): what is recorded before it is `days` old or more.

    Whole days, so that tables are written again once a day and not at every look.
    """
    begin = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return begin - timedelta(days=days)


def survey(log: PredictionLog, use_case: str, limit: datetime) -> list[Going]:
    """Say what `expire` would erase, in its order; nothing is changed.

    Raises:
        StackError: A table cannot be read.
    """
    return [
        _going_outcomes(log, use_case, limit),
        _going_by_time(log, use_case, "requests", "time", limit - REQUEST_LASTS),
        _going_by_time(log, use_case, "predictions", "recorded_time", limit),
    ]


def expire(log: PredictionLog, use_case: str, limit: datetime) -> dict[TableName, int]:
    """Erase what is past the limit (naive UTC), and return the number of rows by table.

    Raises:
        StackError: A table cannot be read or written; what went before that is gone, and the next call goes on.
    """
    eraser = Eraser(log)
    return {
        "outcomes": _erase_outcomes(eraser, log, use_case, limit),
        "requests": eraser.older(use_case, "requests", "time", limit - REQUEST_LASTS),
        "predictions": eraser.older(use_case, "predictions", "recorded_time", limit),
    }


def _erase_outcomes(eraser: Eraser, log: PredictionLog, use_case: str, limit: datetime) -> int:
    keys = _past_outcomes(log, use_case, limit)
    if keys.is_empty():
        return 0
    table = log.open(use_case, "outcomes")
    stamped = table is not None and "recorded_time" in pa.schema(table.schema().to_arrow()).names
    age = "coalesce(t.recorded_time, t.time_known)" if stamped else "t.time_known"
    same = " AND ".join(f"(t.{name} IS NOT DISTINCT FROM s.{name})" for name in KEY)
    condition = f"{same} AND (s.told OR {age} < {moment(limit)})"
    with outcomes_alone(log.root, use_case):  # each append meanwhile would make it begin again
        return eraser.matching(use_case, "outcomes", keys.to_arrow(), condition)


def _past_outcomes(log: PredictionLog, use_case: str, limit: datetime) -> pl.DataFrame:
    """Return the keys of outcomes that tell of no prediction that stays, once each.

    `told`: it tells of one that goes, and goes with it, however young it is. Else its own age counts.
    """
    if not _any_past(log, use_case, limit):
        return pl.DataFrame(schema={"prediction_id": str, "entity": str, "event_time": pl.Datetime("us"), "told": bool})
    made = log.scan(use_case, "predictions", prediction_schema(None))
    made = made.select("prediction_id", "entity", "event_time", stays=pl.col("recorded_time") >= limit)
    keys = log.scan(use_case, "outcomes", LOGGED_OUTCOMES).select(KEY).unique()
    both = pl.concat([_named(made, keys), _of_entities(made, keys)])
    return both.filter(~pl.col("stays").fill_null(False)).drop("stays").collect(engine="streaming")


def _named(made: pl.LazyFrame, keys: pl.LazyFrame) -> pl.LazyFrame:
    """Say of the keys that name a prediction whether it stays (null: there is none), and whether it goes."""
    named = keys.filter(pl.col("prediction_id").is_not_null())
    found = made.join(named, on="prediction_id", how="semi").group_by("prediction_id").agg(pl.col("stays").any())
    return named.join(found, on="prediction_id", how="left").with_columns(told=pl.col("stays").is_not_null())


def _of_entities(made: pl.LazyFrame, keys: pl.LazyFrame) -> pl.LazyFrame:
    """Say the same of an entity's: each can tell of a prediction at or before its event (see `join_outcomes`)."""
    at = pl.col("event_time")
    entities = made.filter(pl.col("entity").is_not_null()).group_by("entity")
    first = entities.agg(kept=at.filter(pl.col("stays")).min(), gone=at.filter(~pl.col("stays")).min())
    others = keys.filter(pl.col("prediction_id").is_null()).join(first, on="entity", how="left")
    return others.select(*KEY, stays=pl.col("kept") <= at, told=(pl.col("gone") <= at).fill_null(False))


def _any_past(log: PredictionLog, use_case: str, limit: datetime) -> bool:
    """Say whether any prediction or outcome is old, which is not so at most looks and cheaper to see."""
    outcomes = log.scan(use_case, "outcomes", LOGGED_OUTCOMES).filter(pl.coalesce(TAKEN) < limit)
    gone = _going_by_time(log, use_case, "predictions", "recorded_time", limit).rows
    return bool(gone) or not outcomes.select("recorded_time").head(1).collect().is_empty()


def _going_outcomes(log: PredictionLog, use_case: str, limit: datetime) -> Going:
    keys = _past_outcomes(log, use_case, limit)
    age = pl.coalesce(TAKEN)

    def past(fragment: Fragment) -> int:
        there = set(fragment.physical_schema.names)  # an old file lacks what was added later
        rows = pl.DataFrame(fragment.to_table(columns=[name for name in (*KEY, *TAKEN) if name in there]))
        rows = rows.with_columns(pl.lit(None, pl.Datetime("us")).alias(name) for name in TAKEN if name not in there)
        return rows.join(keys, on=KEY, nulls_equal=True).filter(pl.col("told") | (age < limit)).height

    return _going(log, use_case, "outcomes", past)


def _going_by_time(log: PredictionLog, use_case: str, table: TableName, column: str, limit: datetime) -> Going:
    condition = pc.field(column) < pa.scalar(limit, TIME)
    return _going(log, use_case, table, lambda fragment: fragment.count_rows(filter=condition))


def _going(log: PredictionLog, use_case: str, table: TableName, count: Callable[[Fragment], int]) -> Going:
    known = log.open(use_case, table)
    if known is None:
        return Going(table, 0, 0, 0)
    rows = files = size = 0
    for fragment in known.to_pyarrow_dataset().get_fragments():
        if going := count(fragment):
            held = (log.path(use_case, table) / fragment.path).stat().st_size
            rows, files = rows + going, files + 1
            size += held * going // fragment.count_rows()
    return Going(table, rows, files, size)
