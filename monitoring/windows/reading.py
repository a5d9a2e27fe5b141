"""Reading the log as it grows: what is new since a position, past files that cannot be read."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import structlog

from flywheel.appended import COMMIT
from flywheel.position import Position
from flywheel.records import LOGGED_OUTCOMES, REQUESTS, prediction_schema
from flywheel.storage import TABLES, PredictionLog, TableName, reading
from monitoring.windows.index import Quarantined

logger = structlog.get_logger()

SCHEMAS = {"predictions": prediction_schema(None), "requests": REQUESTS, "outcomes": LOGGED_OUTCOMES}
KINDS = {table: pl.Schema(schema) for table, schema in SCHEMAS.items()}


class Reader:
    """Reads one use case's log; `quarantined` gathers the files that could not be read.

    Args:
        log: The prediction log.
        use_case: Whose.
        file: The only file to read; None: all of them.
    """

    def __init__(self, log: PredictionLog, use_case: str, file: Quarantined | None = None) -> None:
        self._log, self._use_case, self._file = log, use_case, file
        self.quarantined: list[Quarantined] = []

    def aside(self) -> "Reader":
        """Return another, whose quarantined files are its own."""
        return Reader(self._log, self._use_case)

    def only(self, file: Quarantined) -> "Reader":
        """Return one that reads one file and no other."""
        return Reader(self._log, self._use_case, file)

    def newest(self) -> Position:
        """Return where the log ends.

        Raises:
            StackError: It cannot be read.
        """
        with reading(self._use_case):
            return Position(**{table: self._log.newest(self._use_case, table) for table in TABLES})

    def frames(self, table: TableName, columns: Sequence[str], after: int, until: int) -> list[pl.DataFrame]:
        """Return the rows of appends `after` < commit <= `until`: a frame a file, each with all of the columns.

        Raises:
            StackError: The table cannot be read, beyond single files.
        """
        if after >= until or (self._file is not None and self._file.table != table):
            return []

        def unreadable(path: Path, reason: str) -> None:
            self._set_aside(Quarantined(table=table, file=path.name, after=after, until=until, reason=reason))

        file = None if self._file is None else self._file.file
        with reading(self._use_case):
            found = self._log.after(
                self._use_case, table, after, columns, until=until, unreadable=unreadable, file=file
            )
        return [_complete(frame, table, columns) for frame in found]

    def rows(self, table: TableName, columns: Sequence[str], after: int, until: int) -> pl.DataFrame:
        """Return the same as one frame, in the order of appends; none of the columns may be of structs."""
        kinds = KINDS[table]
        nothing = pl.DataFrame(schema={COMMIT: pl.Int64(), **{name: kinds[name] for name in columns}})
        return pl.concat([nothing, *self.frames(table, columns, after, until)]).sort(COMMIT, maintain_order=True)

    def _set_aside(self, found: Quarantined) -> None:
        for place, known in enumerate(self.quarantined):
            if (known.table, known.file) == (found.table, found.file):
                span = {"after": min(known.after, found.after), "until": max(known.until, found.until)}
                self.quarantined[place] = known.model_copy(update=span)
                return
        logger.warning("a file of the prediction log cannot be read", **found.model_dump())
        self.quarantined.append(found)


def _complete(frame: pl.DataFrame, table: TableName, columns: Sequence[str]) -> pl.DataFrame:
    """Add the columns that a file has not; structs stay as each file has them."""
    lacking = {name: KINDS[table][name] for name in columns if name not in frame.columns}
    made = frame.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in lacking.items())
    return made.select(COMMIT, *columns)
