"""Tells Prometheus what no agent can: whether the parts of the stack answer, and how far behind the prediction log is.

    python -m deploy.exporter --port P

It only reads, and goes on when everything else is down: that is when it is wanted. What it tells was looked at in the
last `PERIOD_SECONDS`, so a scrape never waits for a part that does not answer.
"""

import argparse
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.process_collector import ProcessCollector

from deploy.log.segments import read_block
from flywheel.connections import secrets
from flywheel.errors import FlywheelError, StackError
from flywheel.settings import Settings, load_settings
from flywheel.stack import postgres
from flywheel.stack.parts import all_parts
from flywheel.stack.ports import remembered_ports
from flywheel.stack.supervisor import program_path
from flywheel.storage import PredictionLog
from flywheel.telemetry import configure_logs

PERIOD_SECONDS = 5.0
FOLDER = re.compile(r"(?P<use_case>.+)-v(?P<version>[^-]+)")

Probe = Callable[[], str | None]
log = structlog.get_logger()


class Exporter:
    """The gauges of one home.

    Args:
        home: Whose spools.
        probes: By the dependency's name: says why it does not answer, or None.
        clock: Gives the time.
    """

    def __init__(
        self, home: Path, probes: Mapping[str, Probe], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._home = home
        self._log = PredictionLog(home / "log")
        self._probes = probes
        self._clock = clock
        self._up = Gauge("flywheel_dependency_up", "1 if the part answers.", ("name",), registry=self.registry)
        self._lag = Gauge(
            "flywheel_log_lag_seconds",
            "Age of the oldest record that is not in the prediction log; 0 without one.",
            ("use_case",),
            registry=self.registry,
        )
        self._spooled = Gauge(
            "flywheel_log_spooled_bytes", "Bytes in all spools of a use case.", ("use_case",), registry=self.registry
        )
        self._faults = Counter(
            "flywheel_exporter_faults", "Looks at the log that failed.", ("use_case",), registry=self.registry
        )

    def look(self) -> None:
        """Look at everything once."""
        for name, probe in self._probes.items():
            self._up.labels(name).set(float(_answers(probe)))
        for use_case, segments in self._segments().items():
            self._spooled.labels(use_case).set(sum(_size(path) for path in segments))
            try:
                self._lag.labels(use_case).set(self._oldest_seconds(use_case, segments))
            except (FlywheelError, OSError, ValueError) as fault:
                # The last lag stays on the page, and the fault is counted: a store that is down is no lag of 0.
                self._faults.labels(use_case).inc()
                log.warning("log lag unknown", use_case=use_case, reason=str(fault))

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        while True:
            self.look()
            if stop.wait(PERIOD_SECONDS):
                return

    def _segments(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for folder in sorted((self._home / "spool").glob("*-v*")):
            if named := FOLDER.fullmatch(folder.name):
                found.setdefault(named["use_case"], []).extend(sorted(folder.glob("*.jsonl")))
        return found

    def _oldest_seconds(self, use_case: str, segments: Iterable[Path]) -> float:
        now, oldest = self._clock(), 0.0
        for path in segments:
            try:
                block = read_block(path, self._log.position(use_case, "predictions", path.stem) or 0)
            except FileNotFoundError:  # shipped meanwhile
                continue
            if block.content:
                oldest = max(oldest, _age_seconds(block.content, now))
        return oldest


def stack_probes(settings: Settings) -> dict[str, Probe]:
    """Return a probe for each part of the stack, by its name in small letters.

    Raises:
        StackError: No stack has been started here.
    """
    ports = remembered_ports(settings)
    if ports is None:
        raise StackError(f"The ports of {settings.root} are not known. Run `flywheel up`.")
    embedded = program_path(settings, postgres.NAME).exists()
    parts = all_parts(settings, ports, secrets(settings).databases["reader"], embedded=embedded)
    return {name.lower(): part.probe for name, part in parts.items()}


def _answers(probe: Probe) -> bool:
    try:
        return probe() is None
    except Exception as fault:  # noqa: BLE001  # a library may raise anything when its part is down: that is the answer
        log.warning("probe failed", reason=str(fault))
        return False


def _age_seconds(content: bytes, now: datetime) -> float:
    first = orjson.loads(content.split(b"\n", 1)[0])
    recorded = datetime.fromisoformat(first["recorded_time"]).replace(tzinfo=UTC)
    return max(0.0, (now - recorded).total_seconds())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Export until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.exporter", description="Metrics of the stack and its log.")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    configure_logs(machine=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load_settings()
        exporter = Exporter(settings.root, stack_probes(settings))
        server, thread = start_http_server(options.port, "127.0.0.1", registry=exporter.registry)
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        return fault.exit_code
    exporter.run(stop)
    server.shutdown()
    server.server_close()
    thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
