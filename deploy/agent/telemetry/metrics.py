"""The agent's Prometheus metrics. Whoever handles a request tells what happened here; nobody else knows the names.

Only what happens once a request is counted by hand (see `counts`); what happens once a batch goes through
prometheus_client. Gauges of disk and process are read when Prometheus asks, never on the way of a request.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from deploy.agent.telemetry.counts import RequestCounts

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counts of one agent, of one version."""

    def __init__(self, use_case: str, version: str) -> None:
        self.registry = CollectorRegistry()
        names, known = ("use_case", "version"), (use_case, version)
        self._requests = RequestCounts(known, SECONDS)
        self.registry.register(self._requests)
        ProcessCollector(registry=self.registry)
        self._batch = Histogram(
            "flywheel_batch_rows", "Rows scored in one call.", names, buckets=ROWS, registry=self.registry
        ).labels(*known)
        self._scoring = Histogram(
            "flywheel_scoring_seconds", "Time of one call of the model.", names, buckets=SECONDS, registry=self.registry
        ).labels(*known)
        self._queue = self._gauge("flywheel_queue_rows", "Rows that wait to be scored.", known)
        self._lag = self._gauge("flywheel_event_loop_lag_seconds", "How late the event loop wakes up.", known)
        self._ready = self._gauge("flywheel_ready", "1 while the model answers and traffic is welcome.", known)
        self._unlogged = Counter(
            "flywheel_unlogged_answers_total", "Answers given without a record.", names, registry=self.registry
        ).labels(*known)
        self._moved = self._gauge("flywheel_recalibration_shift", "Log-odds that answers are moved by.", known)
        self._fresh = self._gauge("flywheel_recalibration_weight", "1 while a shift lasts, less as it fades.", known)
        self._fresh.set(1)
        self._shift_refused = Counter(
            "flywheel_recalibrations_refused_total",
            "Files of a shift that were not believed.",
            names,
            registry=self.registry,
        ).labels(*known)
        self._known = known

    def answered(self, protocol: str, arm: str | None, status: int, seconds: float) -> None:
        """Count a request: `protocol` is mlflow, v2, v2-grpc or feedback; `seconds` what it took."""
        self._requests.answered(protocol, arm, status, seconds)

    def refused(self, protocol: str, rule: str) -> None:
        """Count a request that was refused, by the rule that it broke."""
        self._requests.refused(protocol, rule)

    def turned_away(self, protocol: str, status: int, rule: str) -> None:
        """Count a request that was refused before it was read: it took no time that could be told."""
        self._requests.turned_away(protocol, status)
        self._requests.refused(protocol, rule)

    def scored(self, rows: int, seconds: float) -> None:
        """Count a call of the model."""
        self._batch.observe(rows)
        self._scoring.observe(seconds)

    def waiting(self, rows: int) -> None:
        """Say how many rows wait."""
        self._queue.set(rows)

    def unlogged(self, answers: int) -> None:
        """Count answers that were given without a record."""
        self._unlogged.inc(answers)

    def moves(self, shift: float, weight: float) -> None:
        """Say by how much answers are moved, and what of that shift counts still."""
        self._moved.set(shift)
        self._fresh.set(weight)

    def shift_refused(self) -> None:
        """Count a file of a shift that was not believed."""
        self._shift_refused.inc()

    def loop_lag(self, seconds: float) -> None:
        """Say how late the event loop is."""
        self._lag.set(seconds)

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """Ask `ready` at each scrape."""
        self._ready.set_function(lambda: float(ready()))

    def watch_connections(self, count: Callable[[], int]) -> None:
        """Ask at each scrape how many HTTP connections are open."""
        self._gauge("flywheel_open_connections", "HTTP connections that are open.", self._known).set_function(count)

    def watch_workers(self, live: Callable[[], int], count: int) -> None:
        """Ask at each scrape how many of `count` workers answered when they were last asked."""
        self._gauge("flywheel_workers", "Workers behind this agent.", self._known).set(count)
        self._gauge("flywheel_workers_live", "Workers that answer.", self._known).set_function(live)

    def add(self, collector: Collector) -> None:
        """Have one more collector asked at each scrape."""
        self.registry.register(collector)

    def page(self) -> bytes:
        """Return what Prometheus scrapes."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, help_text: str, known: tuple[str, str]) -> Gauge:
        return Gauge(name, help_text, ("use_case", "version"), registry=self.registry).labels(*known)
