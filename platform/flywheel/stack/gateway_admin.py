"""Envoy's admin interface, which changes and ends it: a unix socket that only the stack's user may open.

What may be read by anybody on this machine, as Prometheus does, stands on a port: counters, health, readiness.
"""

from pathlib import Path
from typing import Any

from flywheel.stack.envoy import UNLIMITED, http_manager_of, listener_of, pipe

ADMIN = "admin"
READABLE = ("/ready", "/stats", "/stats/prometheus", "/clusters")
REFUSED = f"Here only {', '.join(READABLE)} can be read. For more, ask the unix socket in run/endpoints.json."


def admin_section(socket: Path) -> dict[str, Any]:
    """Return where the admin interface listens."""
    return {"address": pipe(socket, mode=0o600), "ignore_global_conn_limit": True}


def readable_listener(port: int) -> dict[str, Any]:
    """Return the listener of what may be read."""
    reading = [{"name": ":method", "string_match": {"exact": "GET"}}]
    routes: list[dict[str, Any]] = [
        {"match": {"path": path, "headers": reading}, "route": {"cluster": ADMIN}} for path in READABLE
    ]
    refused = {"status": 403, "body": {"inline_string": REFUSED}}
    routes.append({"match": {"prefix": "/"}, "direct_response": refused})
    host = {"name": ADMIN, "domains": ["*"], "routes": routes}
    manager = http_manager_of(
        stat_prefix=ADMIN, normalize_path=True, route_config={"name": ADMIN, "virtual_hosts": [host]}
    )
    return {**listener_of(ADMIN, port, manager), **UNLIMITED}


def admin_cluster(socket: Path) -> dict[str, Any]:
    """Return the cluster that the listener reads from."""
    endpoint = {"endpoint": {"address": pipe(socket)}}
    assignment = {"cluster_name": ADMIN, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": ADMIN, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}
