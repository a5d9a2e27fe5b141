"""Envoy: one static listener, whose routes and clusters it reads from HOME/envoy/dynamic, where deploy writes them."""

import json
from typing import Any

from flywheel.connections import write_private
from flywheel.serving import load_serving
from flywheel.settings import Settings
from flywheel.stack.ports import Ports
from flywheel.stack.probes import healthy
from flywheel.stack.supervisor import Program
from flywheel.stack.tracing import collector_cluster, tracing_section

NAME = "gateway"
TYPES = "type.googleapis.com/envoy"
HTTP_MANAGER = f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
NOTHING_HERE = {
    "error": "No model is live at this address. `make deploy` brings approved versions here, as /<use case>/."
}
# One line a request; the shipper joins it with the prediction log to know which attempt was answered.
ACCESS_LOG = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "route": "%ROUTE_NAME%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "host": "%UPSTREAM_HOST%",
    "duration_ms": "%DURATION%",
}


def write_configuration(settings: Settings, ports: Ports) -> None:
    """Write the bootstrap, and dynamic files without any cluster: after a start no agent lives yet."""
    folder = settings.root / "envoy"
    (folder / "dynamic").mkdir(parents=True, exist_ok=True)
    write_private(folder / "bootstrap.json", json.dumps(bootstrap(settings, ports), indent=1))
    write_private(folder / "dynamic" / "cds.json", json.dumps({"version_info": "0", "resources": []}))
    write_private(folder / "dynamic" / "rds.json", json.dumps({"version_info": "0", "resources": [no_routes()]}))


def bootstrap(settings: Settings, ports: Ports) -> dict[str, Any]:
    """Return Envoy's static configuration."""
    listener = {
        "name": "models",
        "address": _address(ports.gateway),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": _http_manager(settings)}]}],
    }
    collector = collector_cluster(load_serving(settings.root).observability)
    return {
        "node": {"id": "flywheel-gateway", "cluster": "flywheel"},
        "admin": {"address": _address(ports.envoy_admin)},
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
        "dynamic_resources": {"cds_config": _from_file(settings, "cds.json")},
        "static_resources": {"listeners": [listener], "clusters": [collector] if collector else []},
    }


def no_routes() -> dict[str, Any]:
    """Return the route configuration that answers every path with 404 and a sentence."""
    answer = {"status": 404, "body": {"inline_string": json.dumps(NOTHING_HERE)}}
    json_type = {"header": {"key": "content-type", "value": "application/json"}}
    route = {"match": {"prefix": "/"}, "direct_response": answer, "response_headers_to_add": [json_type]}
    host = {"name": "models", "domains": ["*"], "routes": [route]}
    return {"@type": f"{TYPES}.config.route.v3.RouteConfiguration", "name": "models", "virtual_hosts": [host]}


def program(settings: Settings) -> Program:
    """Return the program that runs Envoy."""
    options = [
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--file-flush-interval-msec",
        "500",
        "--log-level",
        "warn",
    ]
    command = ["envoy", "-c", str(settings.root / "envoy" / "bootstrap.json"), *options]
    return Program(NAME, command)


def answers(ports: Ports) -> str | None:
    """Return why the gateway is not ready, or None when it is."""
    return healthy(f"http://127.0.0.1:{ports.envoy_admin}/ready")


def _http_manager(settings: Settings) -> dict[str, Any]:
    access_log = {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(settings.root / "logs" / "gateway.jsonl"),
            "log_format": {"json_format": ACCESS_LOG},
        },
    }
    router = {"name": "router", "typed_config": {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router"}}
    tracing = tracing_section(load_serving(settings.root).observability)
    return {
        "@type": HTTP_MANAGER,
        **({"tracing": tracing} if tracing else {}),
        "stat_prefix": "models",
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "access_log": [access_log],
        "http_filters": [router],
        "rds": {"route_config_name": "models", "config_source": _from_file(settings, "rds.json")},
    }


def _from_file(settings: Settings, name: str) -> dict[str, Any]:
    folder = settings.root / "envoy" / "dynamic"
    source = {"path": str(folder / name), "watched_directory": {"path": str(folder)}}
    return {"resource_api_version": "V3", "path_config_source": source}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
