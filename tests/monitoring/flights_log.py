"""Rows of a small prediction log in Delta, written as the agent and the shipper write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import polars as pl
import pyarrow as pa

from flywheel.contract import Column, Contract
from flywheel.records import OUTCOMES, REQUESTS, prediction_schema
from flywheel.storage import PredictionLog, append_outcomes

NAME = f"monitored-{uuid4().hex[:8]}"  # a stack that is kept between sessions has the earlier ones'
CONTRACT = Contract(
    columns=(
        Column(name="scheduled", type="datetime", nullable=False),
        Column(name="distance", type="double", nullable=True),
    ),
    event_time="scheduled",
    entity="flight_key",
)


@dataclass(frozen=True)
class Flight:
    """One prediction; `outcome` None never becomes known, else a day after departure; text is a class.

    `outputs` stand for `probability` where a version answers with something else.
    """

    entity: str
    time: datetime
    probability: float = 0.3
    outcome: float | str | None = 0.0
    attempts: int = 1
    code: int = 200
    version: str = "1"
    outputs: Mapping[str, float | str] | None = None
    distance: float | None = 500.0

    @property
    def request_id(self) -> str:
        """Its own, also when one entity is asked about twice."""
        return f"r-{self.entity}-{self.time.isoformat()}"


def write_log(
    root: Path,
    flights: Sequence[Flight],
    *,
    digest: str = "sha256:0",
    contract: Contract = CONTRACT,
    name: str = NAME,
    turn: int = 1,
) -> PredictionLog:
    """Write flights with all their attempts, of which the client got the last; `turn` rises from call to call."""
    log = PredictionLog(root)
    own = "" if name == NAME else f"{name}-"  # use cases that share a log have no id in common
    records = [_record(flight, attempt, digest, own) for flight in flights for attempt in range(1, flight.attempts + 1)]
    log.append(name, "predictions", pa.Table.from_pylist(records, schema=prediction_schema(contract)), "test", turn)
    lines = [
        {"request_id": flight.request_id, "time": flight.time, "code": flight.code, "attempts": flight.attempts}
        for flight in flights
    ]
    log.append(name, "requests", pa.Table.from_pylist(lines, schema=REQUESTS), "test", turn)
    known = [
        {"entity": f.entity, "event_time": f.time, "time_known": f.time + timedelta(days=1)}
        | ({"label": f.outcome} if isinstance(f.outcome, str) else {"outcome": f.outcome})
        for f in flights
        if f.outcome is not None
    ]
    outcomes = pl.from_arrow(pa.Table.from_pylist(known, schema=OUTCOMES))
    assert isinstance(outcomes, pl.DataFrame)
    append_outcomes(root, name, outcomes)
    return log


def _record(flight: Flight, attempt: int, digest: str, own: str) -> dict[str, object]:
    return {
        "schema_version": 1,
        "request_id": flight.request_id,
        "attempt": attempt,
        "row": 0,
        "prediction_id": f"{own}{flight.request_id}-{attempt}",
        "event_time": flight.time,
        "recorded_time": flight.time + timedelta(milliseconds=attempt),
        "use_case": NAME,
        "model_version": flight.version,
        "model_digest": digest,
        "entity": flight.entity,
        "inputs": {"scheduled": flight.time, "distance": flight.distance},
        "outputs": flight.outputs or {"probability": flight.probability},
        "flags": [],
        "status": "scored",
        "latency_ms": 1.0,
        "cache_hit": False,
    }
