"""What the gateway takes on at most, whoever its clients are: connections, memory, and time for a request to come.

10,000 slow clients that send a body of 1 MB each would hold 10 GB. So Envoy watches its own heap: above 85 % of
`memory_mb` connections that do nothing are closed sooner, above 95 % new requests are refused until those that hold it
have come whole, or their time to do so is over. Envoy cannot cut off who holds most: its accounts of a request do not
count a body that is held (envoy#29697; tried).
https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge
"""

from typing import Any

from flywheel.errors import SpecError
from flywheel.open_files import most_files
from flywheel.serving import GatewayServing
from flywheel.stack.envoy import TYPES, duration

HEAP, CONNECTIONS = "envoy.resource_monitors.fixed_heap", "envoy.resource_monitors.global_downstream_max_connections"
MONITORS = f"{TYPES}.extensions.resource_monitors"
# Of clients, where serving.yaml does not say.
CLIENTS = 15_000
# Open files that are not for clients: connections to agents and doorman, and what Envoy itself has open. A gateway
# without a file left for the next connection would hear nobody, not even who administers it.
RESERVED_FILES = 5_000
# Closed when nothing is asked on it for so long; a handshake of TLS may take this long.
IDLE_SECONDS, HANDSHAKE_SECONDS = 300.0, 10.0
# What one connection buffers where no route says how large a body may be: answers to who does not read them.
BUFFER_BYTES = 1 << 16
STREAM_WINDOW, CONNECTION_WINDOW = 1 << 18, 1 << 20


def overload_manager(door: GatewayServing) -> dict[str, Any]:
    """Return what is watched, and what is done where it runs short."""
    heap = {"@type": f"{MONITORS}.fixed_heap.v3.FixedHeapConfig", "max_heap_size_bytes": door.memory_mb << 20}
    held = {
        "@type": f"{MONITORS}.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": most_connections(door),
    }
    return {
        "refresh_interval": "0.1s",
        "resource_monitors": [{"name": HEAP, "typed_config": heap}, {"name": CONNECTIONS, "typed_config": held}],
        "actions": [
            {**_action("reduce_timeouts", _between(0.85, 0.95)), "typed_config": _reduced_timeouts()},
            _action("shrink_heap", _above(0.90)),
            _action("disable_http_keepalive", _above(0.95)),
            _action("stop_accepting_requests", _above(0.95)),
        ],
    }


def most_connections(door: GatewayServing) -> int:
    """Return how many connections clients may have.

    Raises:
        SpecError: serving.yaml asks for more than this machine's limit of open files leaves.
    """
    files = most_files()
    left = max(files - RESERVED_FILES, files // 4)
    if door.connections is None:
        return min(CLIENTS, left)
    if door.connections > left:
        raise SpecError(
            f"gateway.connections: {door.connections:,} is more than {left:,}, which the limit of "
            f"{files:,} open files leaves for clients. Raise that limit (`ulimit -Hn`), or ask for less."
        )
    return door.connections


def manager_limits(door: GatewayServing) -> dict[str, Any]:
    """Return what an HTTP manager of clients from anywhere says of time and windows."""
    seconds = duration(door.request_seconds)
    windows = {"initial_stream_window_size": STREAM_WINDOW, "initial_connection_window_size": CONNECTION_WINDOW}
    return {
        "request_headers_timeout": seconds,
        "request_timeout": seconds,
        "common_http_protocol_options": {"idle_timeout": duration(IDLE_SECONDS)},
        "http2_protocol_options": windows,
    }


def _action(name: str, trigger: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": HEAP, **trigger}]}


def _above(share: float) -> dict[str, Any]:
    return {"threshold": {"value": share}}


def _between(low: float, high: float) -> dict[str, Any]:
    return {"scaled": {"scaling_threshold": low, "saturation_threshold": high}}


def _reduced_timeouts() -> dict[str, Any]:
    # Not those of requests: one that waits for its model does nothing either.
    scales = [{"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": "2s"}]
    return {"@type": f"{TYPES}.config.overload.v3.ScaleTimersOverloadActionConfig", "timer_scale_factors": scales}
