"""Shipping outcomes that clients reported to agents: each once, whichever agents took it and however often."""

import random
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa

from deploy.log.clock import Clock
from deploy.log.disk import Disk
from deploy.log.spools import Parser, Spools
from deploy.log.tables import OutcomeTables
from flywheel.records import REPORTED
from flywheel.storage import TableName

ID = "outcome_id"
TIMES = ("event_time", "time_known")
TEXTS = ("prediction_id", "entity", "label", "source", ID)


class OutcomeSpools(Spools):
    """All spools of outcomes below `root` (HOME/outcomes).

    An outcome that the table holds already is dropped. Files of outcomes are appended to the same table by
    `flywheel outcomes`, so both hold its lock.
    """

    table: TableName = "outcomes"

    def __init__(self, root: Path, tables: OutcomeTables, disk: Disk, clock: Clock, *, chance: random.Random) -> None:
        super().__init__(root, tables, disk, clock, chance=chance)
        self._outcomes = tables

    def _parser(self, folder: Path) -> Parser:
        return parse_outcomes

    def _commit(self, use_case: str, rows: pa.Table, versions: Mapping[str, int]) -> None:
        with self._outcomes.outcomes_alone(use_case):
            fresh = self._outcomes.new_outcomes(use_case, pl.DataFrame(rows))
            self._outcomes.commit(use_case, self.table, fresh.to_arrow().cast(REPORTED), versions)


def parse_outcomes(content: bytes) -> tuple[pa.Table, list[bytes]]:
    """Return the sound lines as a table (n_rows) of `REPORTED`, and the others as they are."""
    rows: list[dict[str, Any]] = []
    rejected: list[bytes] = []
    for line in content.splitlines(keepends=True):
        try:
            rows.append(_outcome(line))
        except (ValueError, TypeError, KeyError, AttributeError):
            rejected.append(line)
    return pa.Table.from_pylist(rows, schema=REPORTED), rejected


def _outcome(line: bytes) -> dict[str, Any]:
    given = orjson.loads(line)
    row = {name: given.get(name) for name in REPORTED.names}
    row |= {name: datetime.fromisoformat(given[name]) for name in TIMES}
    if not row[ID] or any(not isinstance(row[name], str | None) for name in TEXTS):
        raise ValueError("this is no outcome")
    if row["outcome"] is not None:
        row["outcome"] = float(row["outcome"])
    return row
