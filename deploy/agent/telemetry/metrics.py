"""The agent's Prometheus metrics. Whoever handles a request tells what happened here; nobody else knows the names."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counts of one agent, of one version."""

    def __init__(self, use_case: str, version: str) -> None:
        self.registry = CollectorRegistry()
        names, known = ("use_case", "version"), (use_case, version)
        self._requests = Counter(
            "flywheel_requests_total",
            "Requests that were answered, by protocol, arm and status.",
            (*names, "protocol", "arm", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "flywheel_request_seconds",
            "Time from the request's last byte to its answer.",
            (*names, "protocol"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batch = Histogram(
            "flywheel_batch_rows", "Rows scored in one call.", names, buckets=ROWS, registry=self.registry
        ).labels(*known)
        self._scoring = Histogram(
            "flywheel_scoring_seconds", "Time of one call of the model.", names, buckets=SECONDS, registry=self.registry
        ).labels(*known)
        self._queue = Gauge(
            "flywheel_queue_rows", "Rows that wait to be scored.", names, registry=self.registry
        ).labels(*known)
        self._known = known

    def answered(self, protocol: str, arm: str | None, status: int, seconds: float) -> None:
        """Count a request: `protocol` is mlflow, v2, v2-grpc or feedback; `seconds` what it took."""
        self._requests.labels(*self._known, protocol, arm or "none", str(status)).inc()
        self._seconds.labels(*self._known, protocol).observe(seconds)

    def scored(self, rows: int, seconds: float) -> None:
        """Count a call of the model."""
        self._batch.observe(rows)
        self._scoring.observe(seconds)

    def waiting(self, rows: int) -> None:
        """Say how many rows wait."""
        self._queue.set(rows)

    def page(self) -> bytes:
        """Return what Prometheus scrapes."""
        return generate_latest(self.registry)
