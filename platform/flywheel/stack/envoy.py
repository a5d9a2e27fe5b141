"""Pieces of Envoy's configuration that more than one document needs, and Envoy's own judgement of a whole."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from flywheel.errors import StackError

TYPES = "type.googleapis.com/envoy"
HTTP_MANAGER = f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
CHECK_SECONDS = 30.0
# By default Envoy refuses patterns above 100 instructions, which a use case's name of thirty letters already takes.
RUNTIME = {
    "layers": [
        {"name": "limits", "static_layer": {"re2.max_program_size.error_level": 10_000}},
        {"name": "admin", "admin_layer": {}},
    ]
}


# Of a listener that is not for clients: it answers also when they hold all that they may.
UNLIMITED = {"ignore_global_conn_limit": True, "bypass_overload_manager": True}


def extension(name: str, kind: str, **values: Any) -> dict[str, Any]:
    """Return a named extension; `kind` is its message below `envoy.extensions`."""
    return {"name": name, "typed_config": {"@type": f"{TYPES}.extensions.{kind}", **values}}


def duration(seconds: float) -> str:
    """Write a time as protobuf's JSON does; Envoy counts in milliseconds."""
    return f"{seconds:.3f}s"


def http_manager_of(**values: Any) -> dict[str, Any]:
    """Return an HTTP manager that does nothing but route."""
    router = extension("router", "filters.http.router.v3.Router")
    return {"@type": HTTP_MANAGER, "stat_prefix": "models", "http_filters": [router], **values}


def listener_of(name: str, port: int, manager: dict[str, Any], host: str = "127.0.0.1") -> dict[str, Any]:
    """Return a listener with one HTTP manager."""
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {"name": name, "address": address(port, host), "filter_chains": [chain]}


def pipe_listener(name: str, path: Path, manager: dict[str, Any]) -> dict[str, Any]:
    """Return a listener on a unix socket that only the stack's user may open."""
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {
        "name": name,
        "address": pipe(path, mode=0o600),
        "filter_chains": [chain],
        **UNLIMITED,
    }


def pipe(path: Path, **more: int) -> dict[str, Any]:
    """Return a unix socket."""
    return {"pipe": {"path": str(path), **more}}


def address(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    """Return where something listens."""
    return {"socket_address": {"address": host, "port_value": port}}


def program_path() -> str:
    """Return the program beside this Python, wherever PATH points."""
    beside = Path(sys.executable).with_name("envoy")
    return str(beside) if beside.exists() else "envoy"


def refusal(document: dict[str, Any]) -> str | None:
    """Return in one line why Envoy would not start with a configuration, None when it would.

    Raises:
        StackError: Envoy itself does not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "check.json"
        file.write_text(json.dumps(document))
        command = [program_path(), "--mode", "validate", "-c", str(file), "-l", "error", "--disable-hot-restart"]
        try:
            done = subprocess.run(  # our own program
                command, capture_output=True, text=True, timeout=CHECK_SECONDS, stdin=subprocess.DEVNULL, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise StackError(f"Envoy cannot check the gateway's configuration: {fault}. Install it again.") from fault
    return None if done.returncode == 0 else _reason(done.stderr + done.stdout)


def _reason(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "rror initializing configuration" in line] or lines or ["it gives no reason"]
    said = told[0].partition(".json': ")[2] or told[0].partition("] ")[2] or told[0]
    return " ".join(said.split())[:500].rstrip(".")
