"""The prediction log as the shipper uses it, counted: commits, their rows, bytes and time, and what failed."""

import time
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
from prometheus_client import Gauge, Histogram

from flywheel.errors import FlywheelError
from flywheel.storage import PredictionLog, TableName
from flywheel.textfile import Textfile

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LABELS = ("use_case", "table")


class MeasuredLog(PredictionLog):
    """A prediction log that counts what it is asked to do.

    Args:
        root: Of the log.
        told: Where it is told.
    """

    def __init__(self, root: Path, told: Textfile) -> None:
        super().__init__(root)
        self._records = told.counter("flywheel_shipper_records", "Rows that were committed.", LABELS)
        self._bytes = told.counter("flywheel_shipper_bytes", "Bytes of these rows, in memory.", LABELS)
        self._commits = told.counter("flywheel_shipper_commits", "Commits.", LABELS)
        self._failures = told.counter("flywheel_shipper_failures", "Times that the store refused or failed.", LABELS)
        self._seconds = Histogram(
            "flywheel_shipper_commit_seconds",
            "Time of one commit.",
            ("table",),
            buckets=SECONDS,
            registry=told.registry,
        )
        self._last = Gauge(
            "flywheel_shipper_last_commit_timestamp_seconds", "When the last commit ended.", registry=told.registry
        )

    def position(self, use_case: str, table: TableName, app_id: str) -> int | None:
        """Return how far an application has come.

        Raises:
            StackError: The table cannot be read; it is counted.
        """
        try:
            return super().position(use_case, table, app_id)
        except FlywheelError:
            self._failures.labels(use_case, table).inc()
            raise

    def commit(
        self, use_case: str, table: TableName, frame: pl.DataFrame | pa.Table, versions: Mapping[str, int]
    ) -> None:
        """Append rows and move several applications forward in one commit.

        Raises:
            FlywheelError: As of `PredictionLog.commit`; it is counted.
        """
        began = time.monotonic()
        try:
            super().commit(use_case, table, frame, versions)
        except FlywheelError:
            self._failures.labels(use_case, table).inc()
            raise
        self._seconds.labels(table).observe(time.monotonic() - began)
        self._commits.labels(use_case, table).inc()
        self._records.labels(use_case, table).inc(len(frame))
        self._bytes.labels(use_case, table).inc(
            frame.estimated_size() if isinstance(frame, pl.DataFrame) else frame.nbytes
        )
        self._last.set_to_current_time()
