"""What Envoy says of itself: the documents it accepted, who is healthy, and how many requests each arm took.

A watched file has no acknowledgement, so the admin interface is where actual state comes from.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deploy.gateway.traffic import FORCED, GRPC_SUFFIX, SHADOW
from flywheel.errors import TransientError
from flywheel.stack.gateway_stats import threshold_seconds
from flywheel.stack.probes import request

TIMEOUT_SECONDS = 5.0
REFUSALS = "%5E(cluster_manager.cds|http.models.rds.models).update_(rejected|failure)$"
COUNTERS = "upstream_rq_completed|upstream_rq_5xx|upstream_rq_retry_success|upstream_rq_time"
# When this process read its bootstrap, in milliseconds: no two lives of an Envoy have the same.
EPOCH = "/config_dump?mask=last_updated"
ARMS = f"/stats?format=json&histogram_buckets=cumulative&filter=%5Ecluster%5C.%5B%5E.%5D%2B%5C.({COUNTERS})$"


@dataclass(frozen=True)
class Accepted:
    """The versions of the documents that Envoy works with; None before the first."""

    clusters: str | None
    routes: str | None
    warming: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counts:
    """Counters of one cluster since Envoy made it.

    Args:
        requests: Requests that a route sent here, each counted once whatever its retries.
        errors: Of these, the ones whose first attempt failed (retried with success, or answered 5xx in the end).
        attempts: Attempts on this cluster's hosts that ended, whichever route sent them.
        failures: Of these, the ones that failed.
        active: Requests in flight on this cluster's hosts; of a version also those that named it, and its shadow's.
        slow: Of the requests, how many took at least so long until their answer came whole, by bound in seconds.
        epoch: Which life of Envoy counts; "": not known.
    """

    requests: int = 0
    errors: int = 0
    attempts: int = 0
    failures: int = 0
    active: int = 0
    slow: Mapping[float, int] = field(default_factory=dict)
    epoch: str = ""

    def __add__(self, other: "Counts") -> "Counts":
        """Add up two clusters."""
        bounds = [*self.slow, *(bound for bound in other.slow if bound not in self.slow)]
        return Counts(
            self.requests + other.requests,
            self.errors + other.errors,
            self.attempts + other.attempts,
            self.failures + other.failures,
            self.active + other.active,
            {bound: self.slow.get(bound, 0) + other.slow.get(bound, 0) for bound in bounds},
            self.epoch or other.epoch,
        )


class Gateway:
    """Envoy's admin interface at `admin_url`, for reading only."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url.rstrip("/")

    def accepted(self) -> Accepted:
        """Read which documents are in force.

        Raises:
            TransientError: Envoy does not answer.
        """
        dump = self._read("/config_dump")
        clusters, routes = _section(dump, ".ClustersConfigDump"), _section(dump, ".RoutesConfigDump")
        dynamic = routes.get("dynamic_route_configs", [])
        warming = clusters.get("dynamic_warming_clusters", [])
        return Accepted(
            clusters=clusters.get("version_info"),
            routes=next((route.get("version_info") for route in dynamic), None),
            warming=tuple(sorted(_cluster_name(entry) for entry in warming)),
        )

    def refusals(self) -> int:
        """Count the documents that Envoy refused since its start; of a watched file, no dump says which.

        Raises:
            TransientError: Envoy does not answer.
        """
        found = self._read(f"/stats?format=json&filter={REFUSALS}")["stats"]
        return sum(int(one["value"]) for one in found if "value" in one)

    def healthy(self) -> set[str]:
        """Return the clusters with a host that passes its health check and is not ejected.

        Raises:
            TransientError: Envoy does not answer.
        """
        return {
            status["name"]
            for status in self._clusters()
            if any(_host_is_healthy(host) for host in status.get("host_statuses", []))
        }

    def counts(self) -> dict[str, Counts]:
        """Read the counters of every cluster, all of one life of Envoy.

        Raises:
            TransientError: Envoy does not answer, or was started anew meanwhile.
        """
        epoch = self._epoch()
        # Arms before hosts: an attempt that ends in between is then missing from the arm, and waits for the next look.
        arms = self._read(ARMS)["stats"]
        values = {one["name"]: int(one["value"]) for one in arms if "value" in one}
        slow = _slow(next((one["histograms"] for one in arms if "histograms" in one), []))
        found = {status["name"]: replace(_counts(status, values, slow), epoch=epoch) for status in self._clusters()}
        if self._epoch() != epoch:
            raise TransientError("The gateway was started anew while its counters were read.")
        return _by_version(found)

    def _epoch(self) -> str:
        return str(_section(self._read(EPOCH), ".BootstrapConfigDump").get("last_updated", ""))

    def _clusters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._read("/clusters?format=json").get("cluster_statuses", [])
        return found

    def _read(self, path: str) -> dict[str, Any]:
        url = self._admin_url + path
        try:
            status, content = request("GET", url, timeout=TIMEOUT_SECONDS)
            if status != 200:
                raise OSError(f"status {status}")
            document: dict[str, Any] = json.loads(content)
        except (OSError, json.JSONDecodeError) as fault:
            raise TransientError(
                f"The gateway's admin page {url} does not answer: {fault}. See `flywheel status`."
            ) from fault
        return document


def _by_version(counts: Mapping[str, Counts]) -> dict[str, Counts]:
    """Add to each cluster what its agents took over gRPC, and to a version's what is in flight apart from it."""
    found: dict[str, Counts] = {}
    for name, one in counts.items():
        version = name.removesuffix(GRPC_SUFFIX)
        found[version] = found.get(version, Counts()) + one
        for apart in (FORCED, SHADOW):
            if version.endswith(apart):
                whose = version.removesuffix(apart)
                found[whose] = found.get(whose, Counts()) + Counts(active=one.active)
    return found


def _slow(histograms: Sequence[Mapping[str, Any]]) -> dict[str, dict[float, int]]:
    """Return by histogram's name how many requests took at least each threshold, in seconds.

    The last bucket's bound is above all times, so that it holds all there are.
    """
    found = {}
    for one in histograms:
        *rows, last = one["buckets"]
        found[one["name"]] = {
            threshold_seconds(row["upper_bound"]): last["cumulative"] - row["cumulative"] for row in rows
        }
    return found


def _counts(status: Mapping[str, Any], values: Mapping[str, int], slow: Mapping[str, Mapping[float, int]]) -> Counts:
    name = status["name"]

    def arm(counter: str) -> int:
        return values.get(f"cluster.{name}.{counter}", 0)

    hosts = [_host_values(host) for host in status.get("host_statuses", [])]
    success, failures, active = (
        sum(host.get(key, 0) for host in hosts) for key in ("rq_success", "rq_error", "rq_active")
    )
    errors = arm("upstream_rq_retry_success") + arm("upstream_rq_5xx")
    longer = slow.get(f"cluster.{name}.upstream_rq_time", {})
    return Counts(arm("upstream_rq_completed"), errors, success + failures, failures, active, longer)


def _host_values(host: Mapping[str, Any]) -> dict[str, int]:
    # Envoy leaves the value out where it is zero.
    return {stat["name"]: int(stat.get("value", 0)) for stat in host.get("stats", [])}


def _host_is_healthy(host: Mapping[str, Any]) -> bool:
    health = host.get("health_status", {})
    return health.get("eds_health_status") == "HEALTHY" and set(health) == {"eds_health_status"}


def _section(dump: Mapping[str, Any], suffix: str) -> dict[str, Any]:
    return next((part for part in dump.get("configs", []) if part["@type"].endswith("v3" + suffix)), {})


def _cluster_name(entry: Mapping[str, Any]) -> str:
    name: str = entry.get("cluster", {}).get("name", "?")
    return name
