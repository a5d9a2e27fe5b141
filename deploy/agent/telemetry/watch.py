"""What is watched beside requests: how late the event loop wakes, and the disk below the spool."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deploy.agent.telemetry.metrics import Metrics

PERIOD_SECONDS = 0.5


async def watch_loop(metrics: Metrics) -> None:
    """Tell how much later than asked the loop wakes up, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        metrics.loop_lag(max(0.0, loop.time() - due))


class SpoolCollector(Collector):
    """Bytes in a spool's segments, whether it can be written, and the disk space that is left; read at each scrape."""

    def __init__(self, folder: Path, use_case: str, version: str) -> None:
        self._folder = folder
        self._known = (use_case, version)

    def collect(self) -> Iterable[Metric]:
        """Read the folder now; where it cannot be read, only `flywheel_spool_writable` 0 is told."""
        names = ("use_case", "version")
        writable = GaugeMetricFamily("flywheel_spool_writable", "1 if records can be written.", labels=names)
        size = GaugeMetricFamily("flywheel_spool_bytes", "Bytes in the spool's segments.", labels=names)
        free = GaugeMetricFamily("flywheel_disk_free_bytes", "Disk space left below the spool.", labels=names)
        writable.add_metric(self._known, float(os.access(self._folder, os.W_OK)))
        try:
            size.add_metric(self._known, float(_bytes_in(self._folder)))
            disk = os.statvfs(self._folder)
            free.add_metric(self._known, float(disk.f_bavail * disk.f_frsize))
        except OSError:
            return (writable,)
        return writable, size, free


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.glob("*.jsonl"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # shipped meanwhile
            continue
    return total
