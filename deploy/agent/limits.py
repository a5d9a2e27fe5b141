"""What the agent takes on at most; beyond a limit a client gets a clear refusal instead of a slow answer."""

from dataclasses import dataclass
from typing import Self

from flywheel.serving import UseCaseServing


@dataclass(frozen=True)
class Limits:
    """Bounds of one agent: sizes in bytes and rows, times in seconds."""

    body_bytes: int = 1 << 20
    request_rows: int = 1024
    # One call carries 256 rows in about the time of one; the next batch waits no longer than that.
    batch_rows: int = 256
    queue_rows: int = 2048
    queue_seconds: float = 1.0
    deadline_seconds: float = 10.0
    segment_bytes: int = 32 << 20
    segment_seconds: float = 900.0
    # What the spool leaves free on its disk.
    reserve_bytes: int = 0
    # A record survives the machine's loss of power, not only the process's death.
    synced: bool = False
    # Fields that the contract does not name are passed over.
    ignore_unknown: bool = False
    # What cannot be recorded is answered all the same.
    unlogged: bool = False

    @classmethod
    def of(cls, serving: UseCaseServing) -> Self:
        """Take what serving.yaml says."""
        return cls(
            body_bytes=serving.body_bytes,
            request_rows=serving.request_rows,
            batch_rows=serving.batch_rows,
            queue_rows=serving.queue_rows,
            queue_seconds=serving.queue_seconds,
            deadline_seconds=serving.deadline_seconds,
            ignore_unknown=serving.unknown_fields == "ignore",
            reserve_bytes=serving.log.reserve_mb << 20,
            synced=serving.log.durability == "power",
            unlogged=serving.log.full_disk == "unlogged",
        )
