"""Envoy: one static listener, whose routes and clusters it reads from HOME/envoy/dynamic, where deploy writes them."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

from flywheel.connections import write_private
from flywheel.errors import SpecError
from flywheel.serving import GatewayServing, Serving, check_files, load_serving
from flywheel.settings import Settings
from flywheel.stack.envoy import HTTP_MANAGER, RUNTIME, TYPES, duration, extension, listener_of, refusal
from flywheel.stack.gateway_admin import admin_cluster, admin_section, readable_listener
from flywheel.stack.gateway_door import DOORMAN, doorman_cluster, early_mutation, filters, needs_doorman, token_issuer
from flywheel.stack.gateway_keys import keys_cluster, keys_listener
from flywheel.stack.gateway_limits import BUFFER_BYTES, HANDSHAKE_SECONDS, manager_limits, overload_manager
from flywheel.stack.gateway_replies import local_replies
from flywheel.stack.gateway_stats import stats_section
from flywheel.stack.gateway_tls import inline_secrets, secret_files, transport_socket
from flywheel.stack.ports import Ports, remembered_ports
from flywheel.stack.probes import healthy, unix_url
from flywheel.stack.supervisor import Program, socket_path
from flywheel.stack.tracing import collector_cluster, plain_request_ids, tracing_section

NAME = "gateway"
NOTHING_HERE = "No model is live at this address. `make deploy` brings approved versions here, as /<use case>/."
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
    "client": "%REQ(X-FLYWHEEL-CLIENT)%",
    "protocol": "%PROTOCOL%",
    "grpc_status": "%GRPC_STATUS_NUMBER%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "upstream_ms": "%RESPONSE_DURATION%",
    "trace_id": "%TRACE_ID%",
}


def checked_serving(settings: Settings) -> Serving:
    """Read serving.yaml and check the files that it names; nothing is written.

    Raises:
        SpecError: It says something that cannot be served.
    """
    serving = load_serving(settings.root)
    check_files(settings.root / "serving.yaml", serving.gateway)
    return serving


def check(settings: Settings, ports: Ports) -> None:
    """Let Envoy judge the whole of what `write_configuration` would write; nothing is written.

    Raises:
        SpecError: serving.yaml cannot be served.
    """
    serving = checked_serving(settings)
    document = _checked_bootstrap(settings, ports, serving)
    if serving.gateway.tls is not None:
        # Files that are not written yet: the secrets stand in the document itself.
        found = secret_files(serving.gateway.tls).values()
        secrets = [{key: value for key, value in one["resources"][0].items() if key != "@type"} for one in found]
        document["static_resources"]["secrets"] = secrets
        inline_secrets(document["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"])
    del document["dynamic_resources"]
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"]
    manager["route_config"] = {key: value for key, value in no_routes().items() if key != "@type"}
    manager["access_log"] = []  # its folder may not be there yet
    if (found_fault := refusal(document)) is not None:
        raise SpecError(f"{settings.root / 'serving.yaml'}: Envoy refuses it: {found_fault}. Correct it.")


def is_applied(settings: Settings, serving: Serving) -> bool:
    """Say whether the gateway was started with what serving.yaml says of it now.

    Raises:
        SpecError: serving.yaml cannot be served.
    """
    ports = remembered_ports(settings)
    try:
        return ports is None or json.loads((settings.root / "envoy" / "bootstrap.json").read_text()) == json.loads(
            json.dumps(_checked_bootstrap(settings, ports, serving))
        )
    except (OSError, ValueError):
        return False


def write_configuration(settings: Settings, ports: Ports) -> None:
    """Write the bootstrap, and dynamic files without any cluster: after a start no agent lives yet.

    Raises:
        SpecError: serving.yaml cannot be served.
    """
    check(settings, ports)
    serving = checked_serving(settings)
    folder = settings.root / "envoy"
    (folder / "dynamic").mkdir(parents=True, exist_ok=True)
    keys_socket(settings).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    secrets = secret_files(serving.gateway.tls) if serving.gateway.tls is not None else {}
    for name, document in secrets.items():
        write_private(folder / "dynamic" / f"{name}.json", json.dumps(document))
    write_private(folder / "bootstrap.json", json.dumps(bootstrap(settings, ports, serving), indent=1))
    write_private(folder / "dynamic" / "cds.json", json.dumps({"version_info": "0", "resources": []}))
    write_private(folder / "dynamic" / "rds.json", json.dumps({"version_info": "0", "resources": [no_routes()]}))


def _checked_bootstrap(settings: Settings, ports: Ports, serving: Serving) -> dict[str, Any]:
    try:
        return bootstrap(settings, ports, serving)
    except SpecError as fault:
        raise SpecError(f"{settings.root / 'serving.yaml'}: {fault}") from fault


def bootstrap(settings: Settings, ports: Ports, serving: Serving | None = None) -> dict[str, Any]:
    """Return Envoy's static configuration."""
    serving = serving or Serving()
    door, collector = serving.gateway, collector_cluster(serving.observability)
    manager = http_manager(settings, door, tracing_section(serving.observability))
    listener = listener_of("models", ports.gateway, manager, door.host)
    listener["per_connection_buffer_limit_bytes"] = BUFFER_BYTES
    if door.tls is not None:
        tls = transport_socket(door.tls, settings.root / "envoy" / "dynamic")
        listener["filter_chains"][0] |= {
            "transport_socket": tls,
            "transport_socket_connect_timeout": duration(HANDSHAKE_SECONDS),
        }
    listeners, clusters = [listener, readable_listener(ports.envoy_admin)], [admin_cluster(admin_socket(settings))]
    clusters += [doorman_cluster(str(doorman_socket(settings)))] if needs_doorman(door) else []
    if (issuer := token_issuer(door)) is not None:
        clusters.append(keys_cluster(issuer, keys_socket(settings)))
        listeners += [served] if (served := keys_listener(issuer, keys_socket(settings))) else []
    clusters += [collector] if collector else []
    return {
        "node": {"id": "flywheel-gateway", "cluster": "flywheel"},
        "admin": admin_section(admin_socket(settings)),
        "layered_runtime": RUNTIME,
        **stats_section(),
        "overload_manager": overload_manager(door),
        "dynamic_resources": {"cds_config": _from_file(settings, "cds.json")},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


def no_routes() -> dict[str, Any]:
    """Return the route configuration that answers every path with 404 and a sentence."""
    answer = {"status": 404, "body": {"inline_string": NOTHING_HERE}}
    route = {"match": {"prefix": "/"}, "direct_response": answer}
    host = {"name": "models", "domains": ["*"], "routes": [route]}
    return {"@type": f"{TYPES}.config.route.v3.RouteConfiguration", "name": "models", "virtual_hosts": [host]}


def program(settings: Settings, threads: int = 1) -> Program:
    """Return the program that runs Envoy."""
    options = ["--disable-hot-restart", "--concurrency", str(threads)]
    options += ["--file-flush-interval-msec", "500", "--log-level", "warn"]
    return Program(NAME, ["envoy", "-c", str(settings.root / "envoy" / "bootstrap.json"), *options])


def doorman_program(settings: Settings) -> Program:
    """Return the program that knows service tokens and counts quotas."""
    return Program(DOORMAN, [sys.executable, "-m", "deploy.doorman", "--home", str(settings.root)])


def doorman_socket(settings: Settings) -> Path:
    """Return where the doorman listens."""
    return _socket(settings, "door")


def keys_socket(settings: Settings) -> Path:
    """Return where Envoy serves itself a file of keys."""
    return _socket(settings, "keys")


def admin_socket(settings: Settings) -> Path:
    """Return where Envoy is administered."""
    return _socket(settings, "admin")


def _socket(settings: Settings, name: str) -> Path:
    """Return a socket beside the supervisor's, whose path is short enough for the kernel."""
    beside = socket_path(settings)
    return beside.with_name(f"{name}-{beside.name}")


def url(settings: Settings, ports: Ports) -> str:
    """Return the address of the models, as seen from this machine."""
    scheme = "http" if load_serving(settings.root).gateway.tls is None else "https"
    return f"{scheme}://127.0.0.1:{ports.gateway}"


def admin_url(settings: Settings) -> str:
    """Return the address of Envoy's admin interface."""
    return unix_url(admin_socket(settings))


def answers(settings: Settings) -> str | None:
    """Return why the gateway is not ready, or None when it is."""
    return healthy(f"{admin_url(settings)}/ready")


def doorman_answers(settings: Settings) -> str | None:
    """Return why the doorman is not ready, or None when it is."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(doorman_socket(settings)))
        except OSError as fault:
            return f"it does not answer: {fault.strerror}"
    return None


def http_manager(
    settings: Settings, door: GatewayServing | None = None, tracing: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the HTTP manager of the models' listener; `tracing` goes into it as it stands."""
    door, router = door or GatewayServing(), extension("router", "filters.http.router.v3.Router")
    access_log = extension(
        "envoy.access_loggers.file",
        "access_loggers.file.v3.FileAccessLog",
        path=str(settings.root / "logs" / "gateway.jsonl"),
        log_format={"json_format": ACCESS_LOG},
    )
    return {
        "@type": HTTP_MANAGER,
        "stat_prefix": "models",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "early_header_mutation_extensions": [early_mutation()],
        "local_reply_config": local_replies(),
        **manager_limits(door),
        "access_log": [access_log],
        "http_filters": [*filters(door), router],
        "rds": {"route_config_name": "models", "config_source": _from_file(settings, "rds.json")},
        **({"tracing": tracing, "request_id_extension": plain_request_ids()} if tracing is not None else {}),
    }


def _from_file(settings: Settings, name: str) -> dict[str, Any]:
    folder = settings.root / "envoy" / "dynamic"
    source = {"path": str(folder / name), "watched_directory": {"path": str(folder)}}
    return {"resource_api_version": "V3", "path_config_source": source}
