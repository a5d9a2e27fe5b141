"""Reading what of a rollout is new in the log, as frames of the columns that evidence needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from deploy.evidence.plan import EvidencePlan
from flywheel.appended import COMMIT
from flywheel.column_types import POLARS
from flywheel.fields import read_fields
from flywheel.position import Position
from flywheel.records import LOGGED_OUTCOMES, REQUESTS, prediction_schema
from flywheel.storage import PredictionLog, TableName, reading

RECORD = (
    "request_id",
    "attempt",
    "row",
    "prediction_id",
    "event_time",
    "recorded_time",
    "model_version",
    "arm",
    "unit",
    "entity",
    "status",
    "latency_ms",
)
LINE = ("request_id", "time", "code", "attempts", "arm", "unit", "grpc_status")
OUTCOME = ("prediction_id", "entity", "outcome", "label", "event_time", "time_known", "recorded_time")
# Stands before the name of an output, which may be any.
OUTPUT = "output."


@dataclass(frozen=True)
class Rows:
    """Rows of a rollout, in the order in which the log took them.

    Args:
        records: Predictions of the rollout (n, …): the columns of `RECORD`, and one for each output.
        lines: Its requests at the gateway (m, …): the columns of `LINE`.
        outcomes: Of any prediction (k, …): the columns of `OUTCOME`.
    """

    records: pl.DataFrame
    lines: pl.DataFrame
    outcomes: pl.DataFrame


def outputs_of(records: pl.DataFrame) -> list[str]:
    """Return the columns of the outputs."""
    return [name for name in records.columns if name.startswith(OUTPUT)]


class Reader:
    """Reads the log of one rollout."""

    def __init__(self, log: PredictionLog, usecase: str, rollout: str, plan: EvidencePlan) -> None:
        self._log, self._usecase, self._rollout, self._plan = log, usecase, rollout, plan
        # A field of no rows is one row to Polars, where it is made from nothing.
        self._no_outputs = pl.DataFrame(schema={name: POLARS[kind] for name, kind in plan.outputs.items()})

    def newest(self) -> Position:
        """Return where the log ends.

        Raises:
            StackError: It cannot be read.
        """
        tables: tuple[TableName, ...] = ("predictions", "requests", "outcomes")
        with reading(self._usecase):
            return Position(**{table: self._log.newest(self._usecase, table) for table in tables})

    def between(self, after: Position, until: Position | None = None) -> tuple[Rows, Position]:
        """Return the rows after one position and up to another (None: the end), and where that is.

        Raises:
            StackError: The log cannot be read.
        """
        ours = pl.col("rollout") == self._rollout
        with reading(self._usecase):
            records, predictions = self._read(
                "predictions", after, until, lambda part: self._with_outputs(part.filter(ours))
            )
            lines, requests = self._read("requests", after, until, lambda part: part.filter(ours).select(COMMIT, *LINE))
            known, outcomes = self._read("outcomes", after, until, lambda part: part.select(COMMIT, *OUTCOME))
        position = Position(predictions=predictions, requests=requests, outcomes=outcomes)
        return Rows(records, lines, known), position

    def _read(
        self,
        table: TableName,
        after: Position,
        until: Position | None,
        keep: Callable[[pl.DataFrame], pl.DataFrame],
    ) -> tuple[pl.DataFrame, int]:
        began: int = getattr(after, table)
        ended: int | None = getattr(until, table) if until is not None else None
        columns = WANTED[table]
        parts = self._log.after(self._usecase, table, began, list(columns), until=ended) if ended != began else []
        nothing = complete(pl.DataFrame(schema={COMMIT: pl.Int64}), columns)
        read = pl.concat([keep(one) for one in (nothing, *(complete(part, columns) for part in parts))])
        last = max((int(part.select(pl.col(COMMIT).max()).item()) for part in parts), default=began)
        return read.sort(COMMIT, maintain_order=True).drop(COMMIT), last

    def _with_outputs(self, frame: pl.DataFrame) -> pl.DataFrame:
        outputs = read_fields(frame, "outputs", self._plan.outputs) if frame.height else self._no_outputs
        return frame.select(COMMIT, *RECORD).hstack(outputs.rename(lambda name: OUTPUT + name))


def complete(frame: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Add the columns that a file has not, as those of before."""
    lacking = {name: kind for name, kind in columns.items() if name not in frame.columns}
    return frame.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in lacking.items())


def _columns(schema: pa.Schema, names: tuple[str, ...]) -> dict[str, pl.DataType]:
    kinds = pl.DataFrame(schema.empty_table()).schema
    return {name: kinds[name] for name in names}


WANTED: dict[TableName, dict[str, pl.DataType]] = {
    "predictions": _columns(prediction_schema(None), (*RECORD, "rollout", "outputs")),
    "requests": _columns(REQUESTS, (*LINE, "rollout")),
    "outcomes": _columns(LOGGED_OUTCOMES, OUTCOME),
}
