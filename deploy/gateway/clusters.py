"""The CDS document: a version's agents over HTTP and gRPC, also apart for shadows and forced requests, and the arms.

An arm is an aggregate cluster: who answers its requests, each where those before it cannot. Arms have counters of
their own, under a name that stays while shares change, so that what they count only rises during a rollout. Every
version that runs has the clusters of a champion, so that promotion and going back change nothing but routes.

The retry recipe was measured: with it, the death of the only canary lost none of 69,966 requests; with the aggregate
cluster alone 2,203 of 118,661 were lost.
"""

from collections.abc import Sequence
from typing import Any

from deploy.gateway.actions import ARM, mirror_percent
from deploy.gateway.documents import TYPE, document, replaced
from deploy.gateway.traffic import (
    Backend,
    Split,
    challenger_cluster,
    champion_cluster,
    forced_cluster,
    grpc_cluster,
    mirrored_cluster,
    shadow_cluster,
)
from deploy.shares import CHAMPION
from flywheel.serving import SAFE_DEFAULT, Serving
from flywheel.stack.envoy import address

SHADOW_REQUESTS = 64
ANY_HOST = 100_000  # percent: one healthy host of a thousand counts as all that is needed
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _options(protocol: str, **more: Any) -> dict[str, Any]:
    return {OPTIONS: {"@type": TYPE + OPTIONS, "explicit_http_config": {protocol: {}}, **more}}


HTTP2 = _options("http2_protocol_options")


def cluster_document(
    backends: Sequence[Backend], splits: Sequence[Split], serving: Serving | None = None
) -> dict[str, Any]:
    """Return the CDS document: clusters per backend, and per arm of a split.

    Several splits of one use case may be given, as while one replaces another; for the same arm the last counts.
    """
    settings, ordered = serving or Serving(), sorted(backends, key=lambda one: one.cluster)
    resources = [cluster for one in ordered for cluster in _version_clusters(one)]
    shown = {one.challenger.cluster for one in splits if one.challenger}
    resources += [_shadow_cluster(one) for one in ordered if one.cluster in shown]
    arms: dict[str, dict[str, Any]] = {}
    for one in ordered:
        arms |= _champion_clusters(one, [other for other in ordered if other.usecase == one.usecase])
    for split in splits:
        arms |= _challenger_clusters(split)
        arms |= _mirrored_cluster(split, mirror_percent(split, settings.of(split.usecase)))
    return document("envoy.config.cluster.v3.Cluster", [*resources, *(arms[name] for name in sorted(arms))])


def _version_clusters(backend: Backend) -> list[dict[str, Any]]:
    names = [backend.cluster]
    if backend.version != SAFE_DEFAULT:  # nobody may ask for it
        names.append(forced_cluster(backend))
    found = [_version_cluster(name, backend) for name in names]
    return found + ([_grpc_version_cluster(grpc_cluster(name), backend) for name in names] if backend.grpc else [])


def _champion_clusters(champion: Backend, all_of_it: Sequence[Backend]) -> dict[str, dict[str, Any]]:
    """Return a version's aggregate clusters as champion by name: alone, and with each other version to stand in."""
    if champion.version == SAFE_DEFAULT:
        return {}
    default = next((one for one in all_of_it if one.version == SAFE_DEFAULT), None)
    found: dict[str, dict[str, Any]] = {}
    for previous in (None, *(one for one in all_of_it if one not in (champion, default))):
        name, split = champion_cluster(champion, previous), Split(champion, previous=previous, default=default)
        found |= _aggregates(name, split.chain(CHAMPION), grpc=champion.grpc, counted=champion_cluster(champion))
    return found


def _challenger_clusters(split: Split) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for arm, backend in split.arms.items():
        if arm != CHAMPION:
            name = challenger_cluster(backend)
            found |= _aggregates(name, split.chain(arm), grpc=split.speaks_grpc, counted=name)
    return found


def _mirrored_cluster(split: Split, percent: float) -> dict[str, dict[str, Any]]:
    """Mirror what goes to the champion. At the route, what goes to the challenger would be mirrored to it as well."""
    if split.challenger is None or not percent:
        return {}
    name = mirrored_cluster(split.champion, split.challenger)
    (cluster,) = _aggregates(name, split.chain(CHAMPION), grpc=False, counted=champion_cluster(split.champion)).values()
    share = {"numerator": round(percent * 100), "denominator": "TEN_THOUSAND"}
    policy = {
        "cluster": shadow_cluster(split.challenger),
        "runtime_fraction": {"default_value": share, "runtime_key": "flywheel.mirror"},
        "disable_shadow_host_suffix_append": True,
        # The agent records the arm that it is told: these are answers that nobody got.
        "request_headers_mutations": [{"append": replaced(ARM, "shadow")}],
    }
    mirroring = _options("http_protocol_options", request_mirror_policies=[policy])
    return {name: {**cluster, "typed_extension_protocol_options": mirroring}}


def _aggregates(name: str, chain: Sequence[Backend], *, grpc: bool, counted: str) -> dict[str, dict[str, Any]]:
    """Return the aggregate cluster of a chain, and the one for gRPC, by name; `counted` is the name of its counters."""
    found = {name: _aggregate_cluster(name, [one.cluster for one in chain], counted)}
    if grpc:
        named, members = grpc_cluster(name), [grpc_cluster(one.cluster) for one in chain if one.grpc]
        found[named] = _aggregate_cluster(named, members, grpc_cluster(counted))
    return found


def _version_cluster(name: str, backend: Backend) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "lb_policy": "LEAST_REQUEST",
        # Without any healthy host, an overloaded champion that misses its checks is better than no answer at all: then,
        # and only then (1 %), all hosts are tried. The aggregate still passes an unhealthy canary by: there the
        # champion is a healthy priority.
        # Nor are changes of health held back to be merged, a second by default: killed within that second of another
        # replica's return, a replica took 39 requests with it.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}, "update_merge_window": "0s"},
        "health_checks": [_health_check({"http_health_check": {"path": "/ping"}})],
        "outlier_detection": {
            "consecutive_5xx": 5,
            "consecutive_gateway_failure": 5,
            "consecutive_local_origin_failure": 2,
            "split_external_local_origin_errors": True,
            "interval": "1s",
            "base_ejection_time": "3s",
            "max_ejection_time": "10s",
            "max_ejection_percent": 100,
        },
        "circuit_breakers": _breakers(4096),
        "load_assignment": _endpoints(name, [replica.http for replica in backend.replicas]),
    }


def _grpc_version_cluster(name: str, backend: Backend) -> dict[str, Any]:
    return {
        **_version_cluster(name, backend),
        "typed_extension_protocol_options": HTTP2,
        "health_checks": [_health_check({"grpc_health_check": {}})],
        "load_assignment": _endpoints(name, [replica.grpc for replica in backend.replicas]),
    }


def _shadow_cluster(backend: Backend) -> dict[str, Any]:
    """Few requests at once: what is thrown away must not queue before what is awaited."""
    name = shadow_cluster(backend)
    return {**_version_cluster(name, backend), "circuit_breakers": _breakers(SHADOW_REQUESTS)}


def _aggregate_cluster(name: str, members: list[str], counted: str) -> dict[str, Any]:
    return {
        "name": name,
        "alt_stat_name": counted,
        "connect_timeout": "0.5s",
        "lb_policy": "CLUSTER_PROVIDED",
        # The retry budget is the aggregate's own, not that of the clusters below it.
        "circuit_breakers": _breakers(4096),
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": TYPE + "envoy.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": members,
            },
        },
    }


def _health_check(kind: dict[str, Any]) -> dict[str, Any]:
    pace = {"timeout": "2s", "interval": "1s", "no_traffic_interval": "1s"}
    return {**pace, "unhealthy_threshold": 3, "healthy_threshold": 1, **kind}


def _endpoints(cluster: str, ports: list[int]) -> dict[str, Any]:
    hosts = [{"endpoint": {"address": address(port)}} for port in ports]
    # The next of a chain takes over where no host is left, not a part of the requests where some are: by default, of
    # two hosts with one dead, three in ten requests would go to another version.
    policy = {"overprovisioning_factor": ANY_HOST}
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": hosts}], "policy": policy}


def _breakers(requests: int) -> dict[str, Any]:
    limits = {"max_connections": requests, "max_pending_requests": requests, "max_requests": requests}
    return {"thresholds": [{**limits, "max_retries": 1024}]}
