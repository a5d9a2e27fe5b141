"""Erasing rows of the log's tables for good: rows leave the table first, and their bytes once no reader needs them.

Erasing is safe to interrupt anywhere and to repeat. A table's application transactions stay, so that nothing erased is
shipped a second time.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from flywheel.errors import StackError
from flywheel.storage import CONFIGURATION, RETENTION_HOURS, TRIES, WRITER, PredictionLog, TableName


class Eraser:
    """Erases from the log's tables, also while a shipper appends to them."""

    def __init__(self, log: PredictionLog) -> None:
        self._log = log

    def older(self, use_case: str, table: TableName, column: str, limit: datetime) -> int:
        """Erase rows with `column` before `limit` (naive UTC); return their number.

        Files that hold nothing else are dropped, others written again without these rows.

        Raises:
            StackError: The table cannot be read or written.
        """
        condition = f"{column} < {moment(limit)}"
        done = self._repeated(use_case, table, lambda known: known.delete(condition, writer_properties=WRITER))
        return int(done.get("num_deleted_rows") or 0)

    def matching(self, use_case: str, table: TableName, keys: pa.Table, condition: str) -> int:
        """Erase the rows t that fulfil `condition` (SQL) with some row s of `keys`; return their number.

        Raises:
            StackError: The table cannot be read or written.
        """

        def erase(known: DeltaTable) -> dict[str, Any]:
            merge = known.merge(keys, condition, source_alias="s", target_alias="t", writer_properties=WRITER)
            done: dict[str, Any] = merge.when_matched_delete().execute()
            return done

        return int(self._repeated(use_case, table, erase)["num_target_rows_deleted"])

    def tidy(self, use_case: str, table: TableName) -> int:
        """Give an old table today's settings, and remove the bytes that no reader can still need; return their files.

        What a killed process wrote and never committed goes as well.

        Raises:
            StackError: The table cannot be read or written.
        """
        known = self._log.open(use_case, table)
        if known is None:
            return 0
        try:
            if not CONFIGURATION.items() <= known.metadata().configuration.items():
                known.alter.set_table_properties(CONFIGURATION)
            gone = known.vacuum(RETENTION_HOURS, dry_run=False, enforce_retention_duration=False, full=True)
        except (DeltaError, OSError) as fault:
            where = self._log.path(use_case, table)
            raise StackError(f"Log table {where} cannot be tidied: {fault}. Check its disk and mode.") from fault
        return len(gone)

    def _repeated(
        self, use_case: str, table: TableName, erase: Callable[[DeltaTable], dict[str, Any]]
    ) -> dict[str, Any]:
        where = self._log.path(use_case, table)
        for left in reversed(range(TRIES)):
            known = self._log.open(use_case, table)
            if known is None:
                return {"num_target_rows_deleted": 0}
            try:
                return erase(known)
            except CommitFailedError as fault:  # somebody committed first: look again
                if not left:
                    raise StackError(f"Log table {where} is never left alone: {fault}. Try again.") from fault
            except (DeltaError, OSError) as fault:
                raise StackError(f"Nothing can be erased from {where}: {fault}. Check its disk and mode.") from fault
        return {}


def moment(at: datetime) -> str:
    """Write a naive UTC time as SQL that Delta's engine compares with a column: in microseconds, without a zone."""
    return f"arrow_cast('{at.isoformat()}', 'Timestamp(Microsecond, None)')"
