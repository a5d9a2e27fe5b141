"""How far behind the prediction log is, and what was set aside: read from spools and tables, not from the shipper.

So it is told as well when the shipper hangs or does not run at all.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from deploy.log.segments import read_block
from deploy.log.spools import FOLDER_NAME
from deploy.status.spooled import spooled
from flywheel.errors import FlywheelError
from flywheel.storage import PredictionLog

LABELS = ("use_case",)
log = structlog.get_logger()


class LoggedPredictions:
    """Gauges of the log of one home.

    Args:
        home: Whose spools.
        registry: Where they are told.
        clock: Gives the time.
    """

    def __init__(self, home: Path, registry: CollectorRegistry, clock: Callable[[], datetime]) -> None:
        self._home, self._clock = home, clock
        self._log = PredictionLog(home / "log")
        oldest = "Age of the oldest record that is not in the prediction log; 0 without one."
        self._lag = Gauge("flywheel_log_lag_seconds", oldest, LABELS, registry=registry)
        behind = "Bytes of records that are not in the prediction log."
        self._backlog = Gauge("flywheel_log_backlog_bytes", behind, LABELS, registry=registry)
        whole = "Bytes in all spools of a use case."
        self._spooled = Gauge("flywheel_log_spooled_bytes", whole, LABELS, registry=registry)
        aside = "Lines that were no records."
        self._quarantined = Gauge("flywheel_log_quarantined_lines", aside, LABELS, registry=registry)
        self._faults = Counter("flywheel_exporter_faults", "Looks at the log that failed.", LABELS, registry=registry)

    def look(self) -> None:
        """Look at every use case's spools once."""
        for use_case, versions in self._versions().items():
            found = [spooled(self._home, use_case, version) for version in versions]
            self._spooled.labels(use_case).set(sum(one.spool_bytes for one in found))
            self._quarantined.labels(use_case).set(sum(one.quarantined_lines for one in found))
            try:
                self._look_behind(use_case, versions)
            except (FlywheelError, OSError, ValueError) as fault:
                # The last lag stays on the page, and the fault is counted: a store that is down is no lag of 0.
                self._faults.labels(use_case).inc()
                log.warning("log lag unknown", use_case=use_case, reason=str(fault))

    def _versions(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for folder in sorted((self._home / "spool").glob("*-v*")):
            if named := FOLDER_NAME.fullmatch(folder.name):
                found.setdefault(named["use_case"], []).append(named["version"])
        return found

    def _look_behind(self, use_case: str, versions: Sequence[str]) -> None:
        now, oldest, behind = self._clock(), 0.0, 0
        for version in versions:
            for path in sorted((self._home / "spool" / f"{use_case}-v{version}").glob("*.jsonl")):
                try:
                    position = self._log.position(use_case, "predictions", path.stem) or 0
                    behind += max(0, path.stat().st_size - position)
                    block = read_block(path, position)
                except FileNotFoundError:  # shipped meanwhile
                    continue
                if block.content:
                    oldest = max(oldest, _age_seconds(block.content, now))
        self._lag.labels(use_case).set(oldest)
        self._backlog.labels(use_case).set(behind)


def _age_seconds(content: bytes, now: datetime) -> float:
    first = orjson.loads(content.split(b"\n", 1)[0])
    recorded = datetime.fromisoformat(first["recorded_time"]).replace(tzinfo=UTC)
    return max(0.0, (now - recorded).total_seconds())
