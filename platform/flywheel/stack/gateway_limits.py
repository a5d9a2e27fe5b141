"""What the gateway takes on at most, whoever its clients are: connections, memory, and time for a request to come.

10,000 slow clients that send a body of 1 MB each would hold 10 GB. So Envoy watches its own heap: above 85 % of
`memory_mb` connections that do nothing are closed sooner, above 90 % whoever holds most is cut off first, above 95 %
new requests are refused. https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge
"""

from typing import Any

from flywheel.serving import GatewayServing
from flywheel.stack.envoy import TYPES, duration

HEAP, CONNECTIONS = "envoy.resource_monitors.fixed_heap", "envoy.resource_monitors.global_downstream_max_connections"
MONITORS = f"{TYPES}.extensions.resource_monitors"
# What one connection buffers where no route says how large a body may be: answers to who does not read them.
BUFFER_BYTES = 1 << 16
STREAM_WINDOW, CONNECTION_WINDOW = 1 << 18, 1 << 20
# Requests that hold less than this (bytes, as a power of two) are not asked for when memory is short.
LEAST_TRACKED = 16


def overload_manager(door: GatewayServing) -> dict[str, Any]:
    """Return what is watched, and what is done where it runs short."""
    heap = {"@type": f"{MONITORS}.fixed_heap.v3.FixedHeapConfig", "max_heap_size_bytes": door.memory_mb << 20}
    held = {
        "@type": f"{MONITORS}.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": door.connections,
    }
    return {
        "refresh_interval": "0.1s",
        "resource_monitors": [{"name": HEAP, "typed_config": heap}, {"name": CONNECTIONS, "typed_config": held}],
        "actions": [
            {**_action("reduce_timeouts", _between(0.85, 0.95)), "typed_config": _reduced_timeouts()},
            _action("reset_high_memory_stream", _between(0.90, 0.98)),
            _action("shrink_heap", _above(0.90)),
            _action("disable_http_keepalive", _above(0.95)),
            _action("stop_accepting_requests", _above(0.95)),
        ],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": LEAST_TRACKED},
    }


def manager_limits(door: GatewayServing) -> dict[str, Any]:
    """Return what an HTTP manager of clients from anywhere says of time and windows."""
    seconds = duration(door.request_seconds)
    windows = {"initial_stream_window_size": STREAM_WINDOW, "initial_connection_window_size": CONNECTION_WINDOW}
    return {"request_headers_timeout": seconds, "request_timeout": seconds, "http2_protocol_options": windows}


def _action(name: str, trigger: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": HEAP, **trigger}]}


def _above(share: float) -> dict[str, Any]:
    return {"threshold": {"value": share}}


def _between(low: float, high: float) -> dict[str, Any]:
    return {"scaled": {"scaling_threshold": low, "saturation_threshold": high}}


def _reduced_timeouts() -> dict[str, Any]:
    timers = ("HTTP_DOWNSTREAM_CONNECTION_IDLE", "HTTP_DOWNSTREAM_STREAM_IDLE")
    scales = [{"timer": timer, "min_timeout": "2s"} for timer in timers]
    return {"@type": f"{TYPES}.config.overload.v3.ScaleTimersOverloadActionConfig", "timer_scale_factors": scales}
