"""A real prediction log of a rollout, appended in any pieces."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from deploy.evidence.plan import EvidencePlan
from flywheel.contract import Column, Contract, Output, outputs_of
from flywheel.records import LOGGED_OUTCOMES, OUTCOMES, REQUESTS, prediction_schema
from flywheel.storage import PredictionLog, TableName

AT = datetime(2026, 1, 1)
NAME = "shop"
ROLLOUT = "shop-2"
VERSIONS = {"champion": "1", "challenger": "2", "challenger-2": "3", "shadow": "2"}
OUTPUTS: dict[str, tuple[Output, ...]] = {
    "binary": outputs_of("binary", has_threshold=True),
    "regression": outputs_of("regression"),
    "multiclass": outputs_of("multiclass", ["calm", "rain"]),
}
Row = dict[str, Any]


def second(number: float) -> datetime:
    return AT + timedelta(seconds=number)


def plan(task: str = "binary", **changes: Any) -> EvidencePlan:
    outputs = {output.name: output.type for output in OUTPUTS[task]}
    return EvidencePlan.model_validate({"champion": "1", "challenger": "2", "task": task, "outputs": outputs} | changes)


def record(number: int, arm: str = "champion", **changes: Any) -> Row:
    """Return a prediction's record; `outputs` holds what it answered."""
    made = {
        "schema_version": 1,
        "request_id": f"r{number}",
        "attempt": 1,
        "row": 0,
        "prediction_id": f"{arm[0]}{arm[-1]}{number}",
        "event_time": second(number),
        "recorded_time": second(number),
        "use_case": NAME,
        "model_version": VERSIONS[arm],
        "rollout": ROLLOUT,
        "arm": arm,
        "status": "scored",
        "latency_ms": 5.0,
        "outputs": {"probability": 0.5, "decision": True},
    }
    return made | changes


def line(number: int, arm: str | None = "champion", **changes: Any) -> Row:
    """Return a request's line at the gateway."""
    made = {"request_id": f"r{number}", "time": second(number), "code": 200, "attempts": 1, "duration_ms": 7}
    return made | {"cluster": f"{NAME}-v1", "rollout": ROLLOUT, "arm": arm} | changes


def outcome(value: float | str, **changes: Any) -> Row:
    """Return what became true, of `prediction_id` or `entity`."""
    said = {"label": value} if isinstance(value, str) else {"outcome": value}
    return {"event_time": second(1_000), "time_known": second(1_000), "source": "test"} | said | changes


class RolloutLog:
    """Appends rows to the tables of a log, each call one commit."""

    def __init__(self, root: Path, task: str = "binary") -> None:
        self.log = PredictionLog(root)
        columns = (Column(name="at", type="datetime", nullable=False),)
        contract = Contract(columns=columns, event_time="at", entity=None, outputs=OUTPUTS[task])
        self._schemas: dict[TableName, pa.Schema] = {
            "predictions": prediction_schema(contract),
            "requests": REQUESTS,
            "outcomes": OUTCOMES,
        }
        self._numbers = count(1)

    def append(self, table: TableName, rows: Iterable[Row]) -> None:
        given = [self._whole(table, row) for row in rows]
        # Outcomes are stamped by the log's clock, unless a test says when it took them.
        stamped = table == "outcomes" and all("recorded_time" in row for row in given)
        schema = LOGGED_OUTCOMES if stamped else self._schemas[table]
        self.log.append(NAME, table, pa.Table.from_pylist(given, schema), "test", next(self._numbers))

    def answered(self, rows: Sequence[Row], **changes: Any) -> None:
        """Append records and the lines that say that clients got them."""
        self.append("predictions", rows)
        lines = [
            line(0, row["arm"], request_id=row["request_id"], time=row["recorded_time"], unit=row.get("unit"))
            for row in rows
            if row["arm"] != "shadow" and row["row"] == 0
        ]
        self.append("requests", [one | changes for one in lines])

    def _whole(self, table: TableName, row: Row) -> Row:
        return row | ({"inputs": {"at": row["event_time"]}} if table == "predictions" else {})


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows))
