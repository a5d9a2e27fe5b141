"""An agent's metrics page as values that add up over replicas and subtract over time.

Flows in: the text that Prometheus scrapes as well. Flows out: pages, and traffic with its quantiles.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

# Whoever reports an outcome asks for no prediction.
NOT_PREDICTIONS = frozenset({"feedback"})


@dataclass(frozen=True)
class Traffic:
    """Requests as an agent counts them.

    Args:
        requests: Answered.
        errors: Of these, with a status of 500 or more.
        within: How many took at most so long, by seconds; infinity has them all.
    """

    requests: float = 0.0
    errors: float = 0.0
    within: Mapping[float, float] = field(default_factory=dict)

    def plus(self, other: "Traffic") -> "Traffic":
        """Add what another replica, protocol or arm counted."""
        bounds = self.within.keys() | other.within.keys()
        within = {bound: self.within.get(bound, 0.0) + other.within.get(bound, 0.0) for bound in bounds}
        return Traffic(self.requests + other.requests, self.errors + other.errors, within)

    def minus(self, earlier: "Traffic") -> "Traffic":
        """Subtract what the same agent had counted before."""
        within = {bound: count - earlier.within.get(bound, 0.0) for bound, count in self.within.items()}
        return Traffic(self.requests - earlier.requests, self.errors - earlier.errors, within)

    def quantile(self, share: float) -> float | None:
        """Return the duration (seconds) that a share (0 to 1) of the requests kept, None without requests.

        As Prometheus' histogram_quantile does it: requests are taken to lie evenly within a bucket, and what took
        longer than the last bound is told as that bound.
        """
        wanted = share * self.within.get(math.inf, 0.0)
        if wanted <= 0:
            return None
        below, low = 0.0, 0.0
        for bound, count in sorted(self.within.items()):
            if count >= wanted and math.isfinite(bound):
                return low + (bound - low) * (wanted - below) / (count - below)
            below, low = count, bound if math.isfinite(bound) else low
        return low


@dataclass(frozen=True)
class Page:
    """One agent at one moment.

    Args:
        started: When its process began, in seconds since 1970.
        ready: Whether it welcomes traffic.
        queue_rows: Rows that wait to be scored.
        arms: Its traffic by arm.
        shift: By how much its answers are moved, in log-odds.
    """

    started: float
    ready: bool
    queue_rows: float
    arms: Mapping[str, Traffic] = field(default_factory=dict)
    shift: float = 0.0

    def since(self, earlier: "Page | None") -> Mapping[str, Traffic]:
        """Return its traffic since an earlier page; since its start where that page was another process's."""
        if earlier is None or earlier.started != self.started:
            return self.arms
        return {arm: one.minus(earlier.arms.get(arm, Traffic())) for arm, one in self.arms.items()}


def read_page(text: str) -> Page:
    """Read a page.

    Raises:
        ValueError: It is none of an agent.
    """
    samples = list(_samples(text))
    single = {sample.name: sample.value for sample in samples}
    if "flywheel_ready" not in single:
        raise ValueError("the page is none of an agent")
    arms: dict[str, Traffic] = {}
    for sample in samples:
        if sample.labels.get("protocol") not in NOT_PREDICTIONS and (counted := _traffic(sample)) is not None:
            arm = sample.labels.get("arm", "none")
            arms[arm] = arms.get(arm, Traffic()).plus(counted)
    started = single.get("process_start_time_seconds", 0.0)
    queue, shift = (single.get(name, 0.0) for name in ("flywheel_queue_rows", "flywheel_recalibration_shift"))
    return Page(started, single["flywheel_ready"] == 1, queue, arms, shift)


def read_values(text: str, name: str, label: str) -> dict[str, float]:
    """Return the values of a series by one of its labels.

    Raises:
        ValueError: The text is no page of metrics.
    """
    return {sample.labels[label]: sample.value for sample in _samples(text) if sample.name == name}


def read_single(text: str, name: str) -> float | None:
    """Return the value of a series without labels, None where there is none.

    Raises:
        ValueError: The text is no page of metrics.
    """
    return next((sample.value for sample in _samples(text) if sample.name == name), None)


def _samples(text: str) -> Iterable[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def _traffic(sample: Sample) -> Traffic | None:
    if sample.name == "flywheel_requests_total":
        failed = sample.labels["status"].startswith("5")
        return Traffic(sample.value, sample.value if failed else 0.0)
    if sample.name == "flywheel_request_seconds_bucket":
        return Traffic(within={float(sample.labels["le"]): sample.value})
    return None
