"""Which records clients got: each waits until the gateway's line of its request is there, whichever came first.

Only keys wait, no inputs: a record that is delivered later is read from the log again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import BytesIO

import polars as pl

from flywheel.appended import COMMIT
from flywheel.errors import IntegrityError
from flywheel.meeting import Meeting

# What has waited so long has lost its other half.
LATEST = timedelta(days=7)
KEYS = ("request_id", "attempt", "row", "prediction_id", "recorded_time")
LINE = ("request_id", "time", "code", "attempts")
DELIVERED = Meeting(("request_id", "attempt"), ("recorded_time", "time"), within=("row",))


@dataclass(frozen=True)
class Deliveries:
    """What waits between two updates."""

    meeting: Meeting = DELIVERED

    def take(self, scored: pl.DataFrame, lines: pl.DataFrame) -> tuple[pl.DataFrame, "Deliveries"]:
        """Return `prediction_id` and `commit` of records that turn out to be delivered, and what waits after them.

        Args:
            scored: New records that were scored, none of a shadow: `KEYS` and `commit`.
            lines: New lines of the gateway: `LINE`.
        """
        fine = lines.filter(pl.col("code").is_between(200, 299))
        fine = fine.select("request_id", pl.col("attempts").cast(pl.Int16).alias("attempt"), "time")
        pairs, meeting = self.meeting.take(scored.select(*KEYS, COMMIT), fine)
        return pairs.select("prediction_id", COMMIT), Deliveries(meeting)

    def since(self, now: datetime) -> "Deliveries":
        """Let go of what has waited for longer than `LATEST`."""
        return replace(self, meeting=self.meeting.since(now - LATEST, now - LATEST))

    def to_bytes(self) -> tuple[bytes, bytes]:
        """Return both sides as Parquet; empty where a side is."""
        return _parquet(self.meeting.left), _parquet(self.meeting.right)


def deliveries_from(left: bytes, right: bytes) -> Deliveries:
    """Read what `Deliveries.to_bytes` returned.

    Raises:
        IntegrityError: It is no such thing.
    """
    return Deliveries(replace(DELIVERED, left=_frame(left), right=_frame(right)))


def _parquet(frame: pl.DataFrame | None) -> bytes:
    if frame is None:
        return b""
    into = BytesIO()
    frame.write_parquet(into)
    return into.getvalue()


def _frame(content: bytes) -> pl.DataFrame | None:
    try:
        return pl.read_parquet(BytesIO(content)) if content else None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as fault:
        raise IntegrityError(f"What waits for the gateway's lines is damaged: {fault}.") from fault
