"""The tracing section of Envoy's HTTP connection manager: OpenTelemetry over HTTP, to the collector of serving.yaml."""

from typing import Any
from urllib.parse import urlsplit

from flywheel.serving import Observability

CLUSTER = "otlp"
TYPES = "type.googleapis.com/envoy"
TIMEOUT = "1s"


def tracing_section(observability: Observability) -> dict[str, Any] | None:
    """Return what `tracing` of the manager is to be; None where nothing is traced."""
    if observability.otlp is None:
        return None
    base = observability.otlp.rstrip("/")
    http = {"http_uri": {"uri": f"{base}/v1/traces", "cluster": CLUSTER, "timeout": TIMEOUT}}
    provider = {
        "@type": f"{TYPES}.config.trace.v3.OpenTelemetryConfig",
        "service_name": "flywheel-gateway",
        "http_service": http,
        "sampler": _sampler(observability.sample_percent),
    }
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": provider},
        "random_sampling": {"value": 100},  # the sampler decides
        "spawn_upstream_span": True,
    }


def plain_request_ids() -> dict[str, Any]:
    """Return the extension that makes request ids, without the sampling that Envoy hides in them by default.

    By default it writes its decision into a digit of a client's own id, and traces no request whose id is no UUID.
    Without that `random_sampling` has no effect, which is why the tracer has a sampler.
    """
    config = {
        "@type": f"{TYPES}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
        "pack_trace_reason": False,
        "use_request_id_for_trace_sampling": False,
    }
    return {"typed_config": config}


def _sampler(percent: float) -> dict[str, Any]:
    """Go by the caller's decision, and without one trace a share, as agents do."""
    share = {"numerator": round(percent * 10_000), "denominator": "MILLION"}
    ratio = _extension("trace_id_ratio_based", "TraceIdRatioBasedSamplerConfig", sampling_percentage=share)
    return _extension("parent_based", "ParentBasedSamplerConfig", wrapped_sampler=ratio)


def _extension(name: str, kind: str, **values: Any) -> dict[str, Any]:
    config = {"@type": f"{TYPES}.extensions.tracers.opentelemetry.samplers.v3.{kind}", **values}
    return {"name": f"envoy.tracers.opentelemetry.samplers.{name}", "typed_config": config}


def collector_cluster(observability: Observability) -> dict[str, Any] | None:
    """Return the static cluster that `tracing_section` names."""
    if observability.otlp is None:
        return None
    parts = urlsplit(observability.otlp)
    port = parts.port or (443 if parts.scheme == "https" else 4318)
    address = {"socket_address": {"address": parts.hostname, "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    cluster: dict[str, Any] = {
        "name": CLUSTER,
        "type": "STRICT_DNS",
        "connect_timeout": TIMEOUT,
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": endpoints},
    }
    if parts.scheme == "https":
        tls = {"@type": f"{TYPES}.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": parts.hostname}
        cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
    return cluster
