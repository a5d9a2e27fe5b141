"""New rows of the log on their way into blocks: a fold over pieces of it, from one position to the next."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from flywheel.appended import COMMIT
from flywheel.position import Position
from flywheel.profiling.series import DAY, Series
from flywheel.serving import SAFE_DEFAULT
from monitoring.windows.deliveries import KEYS, LINE, Deliveries
from monitoring.windows.keys import Key, by_key
from monitoring.windows.lens import Lenses
from monitoring.windows.raw import SHIFT
from monitoring.windows.reading import KINDS, Reader

RECORD = (*KEYS, "event_time", "model_version", "arm", "status", "inputs", "outputs", SHIFT)
SHADOW = pl.col("arm").eq_missing("shadow")
NOTHING = pl.DataFrame(schema={**{name: KINDS["predictions"][name] for name in KEYS}, COMMIT: pl.Int64()})


@dataclass
class Intake:
    """What an update gathers.

    Args:
        lenses: How a version's rows are profiled; None for one whose package is not here.
        deliveries: What waits for the gateway's lines.
        added: New rows' series by version and arm.
        began: By start of a block: the number of the append before the first that had a row of it.
        unprofiled: Rows by version without a package.
    """

    lenses: Lenses
    deliveries: Deliveries = field(default_factory=Deliveries)
    added: dict[Key, Series] = field(default_factory=dict)
    began: dict[datetime, int] = field(default_factory=dict)
    unprofiled: dict[str, int] = field(default_factory=dict)

    def take(self, reader: Reader, after: Position, until: Position) -> None:
        """Take in the rows between two positions.

        Raises:
            StackError: The log cannot be read.
        """
        frames = reader.frames("predictions", RECORD, after.predictions, until.predictions)
        scored = [frame.filter(pl.col("status") == "scored") for frame in frames]
        keys = pl.concat([NOTHING, *(frame.filter(~SHADOW).select(NOTHING.columns) for frame in scored)])
        lines = reader.rows("requests", LINE, after.requests, until.requests)
        ids, self.deliveries = self.deliveries.take(keys, lines)
        older = ids.join(keys, on="prediction_id", how="anti")
        delivered = [frame.join(ids, on="prediction_id", how="semi") for frame in [*scored, *_again(reader, older)]]
        self._begin(scored, after.predictions)
        self._profile([*delivered, *(frame.filter(SHADOW) for frame in scored)])

    def _begin(self, scored: Iterable[pl.DataFrame], before: int) -> None:
        """Remember where each block's rows begin, also of those that nobody may ever get."""
        for key, rows in (found for frame in scored for found in by_key(frame)):
            lens = self.lenses(key.version)
            every = DAY if lens is None else lens.every  # outcomes may belong to rows that are not profiled
            for start in rows["event_time"].dt.truncate(every).unique():
                self.began[start] = min(before, self.began.get(start, before))

    def _profile(self, frames: Iterable[pl.DataFrame]) -> None:
        tables: dict[Key, list[pl.DataFrame]] = {}
        for key, rows in (found for frame in frames for found in by_key(frame)):
            lens = self.lenses(key.version)
            if key.version == SAFE_DEFAULT:  # says nothing about a model
                continue
            if lens is None:
                self.unprofiled[key.version] = self.unprofiled.get(key.version, 0) + rows.height
            else:
                tables.setdefault(key, []).append(lens.table(rows))
        for key, parts in tables.items():
            self._add(key, pl.concat(parts))

    def _add(self, key: Key, table: pl.DataFrame) -> None:
        lens = self.lenses(key.version)
        if lens is not None:
            series = lens.answered(table)
            self.added[key] = self.added[key].merge(series) if key in self.added else series


def _again(reader: Reader, older: pl.DataFrame) -> list[pl.DataFrame]:
    """Read records that waited: with the appends between the first and the last of them."""
    if older.is_empty():
        return []
    commits = older[COMMIT]
    first, last = commits.sort().item(0), commits.sort().item(-1)
    return reader.frames("predictions", RECORD, int(first) - 1, int(last))
