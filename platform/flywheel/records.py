"""What is kept of every prediction, request and outcome, and the pure rules that join the three.

    predictions   one row an attempt and row of a request, written by the agent
    requests      one row a request, from the gateway's access log: which attempt the client got
    outcomes      what became true, and when that was known: `outcome` is a number or 0/1, `label` the name of a class

Frames hold naive UTC times in microseconds. Nothing here does I/O: see `flywheel.storage`.
"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl
import pyarrow as pa

from flywheel.contract import ColumnType, Contract

SCHEMA_VERSION = 1

TIME = pa.timestamp("us")
ARROW: dict[ColumnType, pa.DataType] = {
    "long": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "datetime": TIME,
}

REQUESTS = pa.schema(
    {
        "request_id": pa.string(),
        "time": TIME,
        "code": pa.int32(),
        "response_flags": pa.string(),
        "attempts": pa.int32(),
        "cluster": pa.string(),
        "upstream_host": pa.string(),
        "path": pa.string(),
        "duration_ms": pa.int64(),
        "route": pa.string(),
        "rollout": pa.string(),
        "arm": pa.string(),
        "unit": pa.string(),
        "grpc_status": pa.int32(),
    }
)

OUTCOMES = pa.schema(
    {
        "prediction_id": pa.string(),
        "entity": pa.string(),
        "outcome": pa.float64(),
        "label": pa.string(),
        "event_time": TIME,
        "time_known": TIME,
        "source": pa.string(),
    }
)


# Outcomes that clients report to agents: `outcome_id` says which are the same, however often they are sent.
REPORTED = OUTCOMES.append(pa.field("outcome_id", pa.string()))

# As the table of outcomes has them: the log adds when it took a row, since the times in it are claims.
LOGGED_OUTCOMES = REPORTED.append(pa.field("recorded_time", TIME))


def prediction_schema(contract: Contract | None) -> pa.Schema:
    """Return the schema of prediction records, version 1; without a contract `inputs` and `outputs` have no fields.

    `shift` is what the log-odds of the answer were moved by (see `flywheel.recalibration`); null: it is as the model
    gave it.
    """
    columns = contract.columns if contract is not None else ()
    outputs = contract.outputs if contract is not None else ()
    return pa.schema(
        {
            "schema_version": pa.int16(),
            "request_id": pa.string(),
            "attempt": pa.int16(),
            "row": pa.int16(),
            "prediction_id": pa.string(),
            "event_time": TIME,
            "recorded_time": TIME,
            "use_case": pa.string(),
            "model_version": pa.string(),
            "model_digest": pa.string(),
            "rollout": pa.string(),
            "arm": pa.string(),
            "unit": pa.string(),
            "subject": pa.string(),
            "entity": pa.string(),
            "inputs": pa.struct([(column.name, ARROW[column.type]) for column in columns]),
            "online_features": pa.string(),
            "outputs": pa.struct([(output.name, ARROW[output.type]) for output in outputs]),
            "flags": pa.list_(pa.string()),
            "status": pa.string(),
            "error": pa.string(),
            "latency_ms": pa.float64(),
            "cache_hit": pa.bool_(),
            "shift": pa.float64(),
        }
    )


ATTEMPT = ["request_id", "attempt"]
NOT_MIRRORED = pl.col("arm").ne_missing("shadow")


def answered(predictions: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Add `answered` to prediction records, in their order.

    True: the scored record of the attempt that the client got, with a code of 2xx; each such request has one a row.
    False: an orphan, whose attempt the gateway gave up or replaced. Null: the gateway's line is not known, as for a
    direct call. A shadow's record has the same request id and attempt, and is never the answer.
    Where a client uses one id for several requests, records and requests are paired in order of time.
    """
    indexed = predictions.with_row_index("_index")
    scored = indexed.filter((pl.col("status") == "scored") & NOT_MIRRORED)
    scored = _number(scored, by=[*ATTEMPT, "row"], order=["recorded_time", "_index"])
    hits = scored.join(_deliveries(requests), on=[*ATTEMPT, "_number"], how="semi").select("_index", _hit=True)
    seen = requests.select("request_id", _seen=True).unique()
    joined = indexed.join(hits, on="_index", how="left").join(seen, on="request_id", how="left").sort("_index")
    verdict = pl.when(pl.col("_seen")).then(pl.col("_hit").fill_null(value=False))
    return joined.with_columns(answered=verdict).drop("_index", "_hit", "_seen")


def _deliveries(requests: pl.DataFrame) -> pl.DataFrame:
    """Return one row a request that was answered with 2xx: its id, its last attempt, and its number among equals."""
    fine = requests.filter(pl.col("code").is_between(200, 299))
    named = fine.select("request_id", pl.col("attempts").cast(pl.Int16).alias("attempt"), "time")
    return _number(named, by=ATTEMPT, order=["time"])


def _number(frame: pl.DataFrame, *, by: list[str], order: list[str]) -> pl.DataFrame:
    return frame.sort(order).with_columns(_number=pl.int_range(pl.len()).over(by))


@dataclass(frozen=True)
class Accounts:
    """Whether every answer has its record.

    Args:
        answered_requests: Requests that the gateway answered with 2xx.
        records_missing: Of these, how many have no record.
        records_doubled: Records beyond the one that an attempt's row may have.
        orphans: Records of attempts that no client got.
    """

    answered_requests: int
    records_missing: int
    records_doubled: int
    orphans: int


def account(predictions: pl.DataFrame, requests: pl.DataFrame) -> Accounts:
    """Hold prediction records against the gateway's requests, for a use case and a span that hold all of both.

    A shadow's records are left out: the gateway writes no line of a mirrored request.
    """
    predictions = predictions.filter(NOT_MIRRORED)
    marked = answered(predictions, requests)
    deliveries = _deliveries(requests)
    first_rows = marked.filter(pl.col("answered") & (pl.col("row") == 0))
    distinct = predictions.unique("prediction_id").filter(pl.col("status") == "scored")
    have = distinct.group_by(*ATTEMPT, "row").agg(have=pl.len())
    may = deliveries.group_by(ATTEMPT).agg(may=pl.len())
    surplus = have.join(may, on=ATTEMPT).select(
        (pl.col("have").cast(pl.Int64) - pl.col("may").cast(pl.Int64)).clip(0).sum()
    )
    return Accounts(
        answered_requests=deliveries.height,
        records_missing=deliveries.height - first_rows.height,
        records_doubled=predictions.height - predictions["prediction_id"].n_unique() + int(surplus.item()),
        orphans=marked.filter(~pl.col("answered")).height,
    )


def join_outcomes(predictions: pl.DataFrame, outcomes: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Return answered predictions up to `as_of` with their outcome's columns, null while it is not known.

    These are `outcome`, `label`, `outcome_time` and `time_known`.

    An outcome that names a prediction joins that one; else it joins its entity's last answered prediction at or before
    the outcome's event (of several at the same event time, the one recorded last). Of several reports of one event the
    one known last counts; a prediction takes the first event after it. Each prediction appears once, in its order.

    Args:
        predictions: Records with `answered` (see `answered`); others than true are left out.
        outcomes: Outcome records.
        as_of: Naive UTC; nothing known later is used.
    """
    made = predictions.filter(pl.col("answered") & (pl.col("event_time") <= as_of)).with_row_index("_index")
    known = outcomes.filter(pl.col("time_known") <= as_of)
    known = known.sort("time_known").unique(EVENT, keep="last", maintain_order=True)
    found = pl.concat([_by_prediction(made, known), _by_entity(made, known)])
    found = found.sort("_direct", "outcome_time", "time_known", descending=[True, False, True])
    found = found.unique("_index", keep="first", maintain_order=True).drop("_direct")
    return made.join(found, on="_index", how="left").sort("_index").drop("_index")


EVENT = ["prediction_id", "entity", "event_time"]


def without_repeats(reported: pl.DataFrame) -> pl.DataFrame:
    """Drop rows of `REPORTED` that say what the report before them, in order of `time_known`, said of the same event.

    A client may repeat itself to another agent; whoever corrects an outcome and then takes that back does not. Rows
    without `outcome_id` all stay.
    """
    before = pl.col("outcome_id").shift(1).over(EVENT, order_by="time_known")
    return reported.filter((pl.col("outcome_id") != before).fill_null(value=True))


FOUND = ["_index", "outcome", "label", "outcome_time", "time_known", "_direct"]


def _by_prediction(made: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    named = known.filter(pl.col("prediction_id").is_not_null()).rename({"event_time": "outcome_time"})
    ids = made.select("_index", "prediction_id")
    return ids.join(named, on="prediction_id").with_columns(_direct=pl.lit(1)).select(FOUND)


def _by_entity(made: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    keyed = known.filter(pl.col("prediction_id").is_null() & pl.col("entity").is_not_null())
    keyed = keyed.select("entity", "event_time", "outcome", "label", "time_known", outcome_time="event_time")
    keyed = keyed.sort("event_time")
    last = made.filter(pl.col("entity").is_not_null()).sort("event_time", "recorded_time", "prediction_id", "_index")
    last = last.unique(["entity", "event_time"], keep="last", maintain_order=True).select(
        "_index", "entity", "event_time"
    )
    joined = keyed.join_asof(last, on="event_time", by="entity", strategy="backward", check_sortedness=False)
    return joined.filter(pl.col("_index").is_not_null()).with_columns(_direct=pl.lit(0)).select(FOUND)
