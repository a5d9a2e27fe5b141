"""Which ports the stack uses: chosen free once, remembered in HOME/run/ports.json, taken again when still free."""

import json
import random
import socket
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from flywheel.connections import write_private
from flywheel.errors import StackError, UsageError
from flywheel.settings import Settings

# Below the range from which Linux takes outgoing ports, so that no connection sits on a port between choice and use.
RANGE = range(20000, 32000)


class Ports(BaseModel):
    """The stack's ports, all on loopback."""

    model_config = ConfigDict(frozen=True)

    postgres: int
    s3: int
    mlflow: int
    gateway: int
    envoy_admin: int


def is_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_ports(settings: Settings, *, running: bool = False) -> Ports:
    """Choose a free port for each part, the remembered one where possible; nothing is written.

    Args:
        settings: Ports that were asked for.
        running: A stack of this home may still run: a port of its own that is asked for again counts as free.

    Raises:
        StackError: A port that was asked for is in use.
        UsageError: It is no port, or both are the same.
    """
    asked = {"mlflow": settings.mlflow_port, "gateway": settings.gateway_port}
    remembered = _remembered(settings)
    for name, port in asked.items():
        if port is not None and not (running and remembered.get(name) == port):
            _check_asked(f"FLYWHEEL_{name.upper()}_PORT", port)
    if asked["mlflow"] is not None and asked["mlflow"] == asked["gateway"]:
        raise UsageError(f"FLYWHEEL_MLFLOW_PORT and FLYWHEEL_GATEWAY_PORT are both {asked['mlflow']}. Give two ports.")
    taken = {port for port in asked.values() if port is not None}
    chosen: dict[str, int] = {}
    for name in Ports.model_fields:
        port = asked.get(name) or remembered.get(name)
        if port is None or (port in taken and port != asked.get(name)) or not is_free(port):
            port = free_port(taken)
        chosen[name] = port
        taken.add(port)
    return Ports(**chosen)


def remember_ports(settings: Settings, ports: Ports) -> None:
    """Write the ports for the next start."""
    write_private(_path(settings), ports.model_dump_json(indent=1))


def remembered_ports(settings: Settings) -> Ports | None:
    """Return the ports of the last start, if there was one."""
    with suppress(ValidationError):
        return Ports.model_validate(_remembered(settings))
    return None


def free_port(taken: set[int] | None = None) -> int:
    """Return a port that is free now and not among `taken`.

    Raises:
        StackError: There is none.
    """
    candidates = list(RANGE)
    random.shuffle(candidates)  # several stacks that start at once must not race for the same ports
    for port in candidates:
        if port not in (taken or set()) and is_free(port):
            return port
    raise StackError(f"No port between {RANGE.start} and {RANGE.stop} is free. Stop something that listens there.")


def _check_asked(variable: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise UsageError(f"{variable} is {port}, which is no port. Give one between 1024 and 65535.")
    if not is_free(port):
        raise StackError(f"Port {port} ({variable}) is in use by another program. Stop that or choose another.")


def _remembered(settings: Settings) -> dict[str, int]:
    try:
        document = json.loads(_path(settings).read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return document if isinstance(document, dict) else {}


def _path(settings: Settings) -> Path:
    return settings.root / "run" / "ports.json"
