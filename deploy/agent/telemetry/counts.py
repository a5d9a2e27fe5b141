"""Requests counted by hand: a dictionary and a list on the way of a request, metric families when Prometheus asks.

prometheus_client takes a lock for each bucket it looks at and resolves labels each time; here one thread counts, so
there is nothing to lock. What it costs against cached children stands in docs/observability.md.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

# Labels come from a closed set; whatever else is said is counted as `other`, so nobody outside can make series.
PROTOCOLS = frozenset({"mlflow", "v2", "v2-grpc", "feedback"})
CHALLENGERS = ("challenger", *(f"challenger-{number}" for number in range(2, 10)))
ARMS = frozenset({"none", "champion", *CHALLENGERS, "canary", "shadow", "forced"})
MAX_RULES = 32


class RequestCounts(Collector):
    """Counts of requests by protocol, arm and status, and their durations by protocol and arm.

    Args:
        known: Use case and version.
        buckets: Upper bounds of the durations, in seconds, ascending.
    """

    def __init__(self, known: tuple[str, str], buckets: Sequence[float]) -> None:
        self._known = known
        self._bounds = tuple(buckets)
        self._requests: dict[tuple[str, str | None, int], int] = {}
        self._seconds: dict[tuple[str, str | None], list[float]] = {}
        self._refusals: dict[tuple[str, str], int] = {}

    def answered(self, protocol: str, arm: str | None, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (protocol, arm, status)
        requests, held = self._requests, self._seconds.get((protocol, arm))
        if held is None or key not in requests:
            protocol, arm, status = key = _bounded(protocol, arm, status)
            held = self._seconds.setdefault((protocol, arm), [0.0] * (len(self._bounds) + 2))
        requests[key] = requests.get(key, 0) + 1
        held[bisect_left(self._bounds, seconds)] += 1
        held[-1] += seconds

    def turned_away(self, protocol: str, status: int) -> None:
        """Count one answer of which there is no duration, so that many of these do not make the others look fast."""
        key = _bounded(protocol, None, status)
        self._requests[key] = self._requests.get(key, 0) + 1

    def refused(self, protocol: str, rule: str) -> None:
        """Count one refusal."""
        key = (protocol if protocol in PROTOCOLS else "other", rule)
        if key not in self._refusals and len(self._refusals) >= MAX_RULES * len(PROTOCOLS):
            key = (key[0], "other")
        self._refusals[key] = self._refusals.get(key, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """Return the families as they stand."""
        names = ("use_case", "version", "protocol")
        requests = CounterMetricFamily(
            "flywheel_requests",
            "Requests that were answered, by protocol, arm and status.",
            labels=(*names, "arm", "status"),
        )
        for (protocol, arm, status), count in list(self._requests.items()):
            requests.add_metric((*self._known, protocol, arm or "none", str(status)), count)
        seconds = HistogramMetricFamily(
            "flywheel_request_seconds", "Time from the request's last byte to its answer.", labels=(*names, "arm")
        )
        for (protocol, arm), held in list(self._seconds.items()):
            bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
            buckets = list(zip(bounds, accumulate(held[:-1]), strict=True))
            seconds.add_metric((*self._known, protocol, arm or "none"), buckets, held[-1])
        refusals = CounterMetricFamily(
            "flywheel_refusals", "Requests that were refused, by the rule they broke.", labels=(*names, "rule")
        )
        for (protocol, rule), count in list(self._refusals.items()):
            refusals.add_metric((*self._known, protocol, rule), count)
        return requests, seconds, refusals


def _bounded(protocol: str, arm: str | None, status: int) -> tuple[str, str | None, int]:
    protocol = protocol if protocol in PROTOCOLS else "other"
    arm = arm if arm is None or arm in ARMS else "other"
    return protocol, arm, status if 100 <= status <= 599 else 599
