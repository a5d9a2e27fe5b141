"""A prediction log in any pieces, and the blocks of its rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa

from flywheel.contract import Column, Contract, outputs_of
from flywheel.profiling.block import Block
from flywheel.profiling.scale import QUANTILES, ColumnScale, Scale
from flywheel.profiling.series import Series
from flywheel.records import LOGGED_OUTCOMES, REQUESTS, prediction_schema
from flywheel.storage import PredictionLog, TableName
from monitoring.windows.lens import Lens

NAME = "shop"
AT = datetime(2026, 1, 1)
DAY = timedelta(days=1)
INPUTS = (Column(name="size", type="double", nullable=True), Column(name="colour", type="string", nullable=True))
CONTRACT = Contract(
    columns=(Column(name="at", type="datetime", nullable=False), *INPUTS),
    event_time="at",
    entity="key",
    outputs=outputs_of("binary"),
)
SCHEMAS: dict[TableName, pa.Schema] = {
    "predictions": prediction_schema(CONTRACT),
    "requests": REQUESTS,
    "outcomes": LOGGED_OUTCOMES,
}
Row = dict[str, Any]


def reference_scale() -> Scale:
    """Return the scale of a normal column, one of two colours, labels and even predictions; the same every time."""
    normal = tuple(NormalDist().inv_cdf((place + 0.5) / QUANTILES) for place in range(QUANTILES))
    columns = (
        ColumnScale("size", "double", normal),
        ColumnScale("colour", "string", vocabulary=("red", "blue")),
        ColumnScale("label", "boolean", vocabulary=("false", "true")),
        ColumnScale("prediction", "double", tuple(np.linspace(0, 1, QUANTILES).tolist())),
    )
    return Scale(columns, apart=("label", "prediction"))


LENS = Lens("binary", {"size": "double", "colour": "string"}, reference_scale())


def record(number: int, hours: float = 0.0, **changes: Any) -> Row:
    """Return the record of a prediction made some hours after `AT`, and logged a second later."""
    made = AT + timedelta(hours=hours, seconds=number)
    return {
        "schema_version": 1,
        "request_id": f"r{number}",
        "attempt": 1,
        "row": 0,
        "prediction_id": f"p{number}",
        "event_time": made,
        "recorded_time": made + timedelta(seconds=1),
        "use_case": NAME,
        "model_version": "1",
        "entity": f"e{number}",
        "inputs": {"at": made, "size": float(number % 7) - 3, "colour": ("red", "blue", "green")[number % 3]},
        "outputs": {"probability": (number % 10) / 10},
        "status": "scored",
    } | changes


def line(record: Row, code: int = 200) -> Row:
    """Return the gateway's line of a record's request."""
    time = record["recorded_time"]
    return {"request_id": record["request_id"], "time": time, "code": code, "attempts": record["attempt"]}


def outcome(value: float, at: datetime, known: datetime | None = None, **changes: Any) -> Row:
    """Return a report of what became true at a time, known and logged an hour later."""
    time = known or at + timedelta(hours=1)
    said = {"outcome": value, "event_time": at, "time_known": time, "recorded_time": time, "source": "test"}
    return said | changes


class BlockLog:
    """Appends rows to the tables of a log, each call one commit."""

    def __init__(self, root: Path) -> None:
        self.log = PredictionLog(root / "log")
        self._numbers = count(1)

    def append(self, table: TableName, rows: Iterable[Row], *, without: Sequence[str] = ()) -> None:
        content = pa.Table.from_pylist(list(rows), SCHEMAS[table]).drop_columns(list(without))
        self.log.append(NAME, table, content, "test", next(self._numbers))

    def answered(self, rows: Sequence[Row], *, without: Sequence[str] = ()) -> None:
        """Append records, without columns of a later release, and the lines that say that clients got them."""
        self.append("predictions", rows, without=without)
        self.append("requests", [line(row) for row in rows])


def told(block: Block) -> dict[str, object]:
    """Return all that is exact in a block."""
    assert block.together is None or block.together.rows == block.rows
    return {
        "span": (block.start, block.end, block.rows),
        "columns": {name: (one.rows, one.missing, one.unfit) for name, one in sorted(block.columns.items())},
        "values": {name: one.categories.counts for name, one in block.columns.items() if one.categories is not None},
        "numbers": {name: scores.counts.tolist() for name, scores in sorted(block.numbers.items())},
        "named": {name: (one.counts.tolist(), one.other) for name, one in sorted(block.categories.items())},
        "together": None if block.together is None else block.together.products.tolist(),
    }


def all_told(series: Series | None) -> list[dict[str, object]]:
    """Return all that is exact in the blocks of a series."""
    return [] if series is None else [told(block) for block in series.blocks]
