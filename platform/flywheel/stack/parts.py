"""The parts of the stack as `flywheel up` waits for them and `flywheel status` shows them."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack import databases, gateway, objects, postgres, registry_service, tracking_server
from flywheel.stack.gateway_door import DOORMAN
from flywheel.stack.ports import Ports
from flywheel.stack.probes import healthy
from flywheel.stack.supervisor import ProgramState, program_states

LAST_LINES = 5
PASSWORD = re.compile(r"://([^:/@\s]*):[^@\s]+@")  # of an address that a log repeats


@dataclass(frozen=True)
class Part:
    """One part: `probe` says why it is not healthy, or None; it has `deadline` seconds to become so."""

    label: str
    program: str | None
    address: str
    probe: Callable[[], str | None]
    deadline: float


def all_parts(
    settings: Settings, ports: Ports, database: str, *, embedded: bool, guarded: bool = False
) -> dict[str, Part]:
    """Return the parts in starting order.

    Args:
        settings: Whose home.
        ports: Where they listen.
        database: The URL with which Postgres is probed.
        embedded: Whether Postgres is ours to run.
        guarded: Whether the gateway has a doorman.
    """
    place = databases.where(databases.parse_owner_url(database))
    mlflow = tracking_server.url(ports)
    parts = [
        Part("Postgres", postgres.NAME if embedded else None, place, lambda: databases.answers(database), 60),
        Part("S3", objects.NAME, f"http://127.0.0.1:{ports.s3}", lambda: objects.answers(ports), 20),
        Part("Gateway", gateway.NAME, f"http://127.0.0.1:{ports.gateway}", lambda: gateway.answers(settings), 20),
        Part("MLflow", tracking_server.NAME, mlflow, lambda: healthy(f"{mlflow}/health"), 180),
        Part(
            "Registry",
            registry_service.NAME,
            str(registry_service.beat_path(settings)),
            lambda: registry_service.answers(settings),
            60,
        ),
    ]
    if guarded:
        path = str(gateway.doorman_socket(settings))
        parts.append(Part("Doorman", DOORMAN, path, lambda: gateway.doorman_answers(settings), 20))
    return {part.label: part for part in parts}


def log_path(settings: Settings, part: Part) -> Path | None:
    """Return the log of a part that we run."""
    return settings.root / "logs" / f"{part.program}.log" if part.program else None


def await_healthy(settings: Settings, part: Part) -> None:
    """Wait until a part is healthy.

    Raises:
        StackError: It ends, or is not healthy within its deadline; says why, and where its log is.
    """
    until = time.monotonic() + part.deadline
    pids: set[int] = set()
    while reason := part.probe():
        if part.program and (ended := _ended(program_states(settings).get(part.program), pids)):
            raise StackError(_failure(settings, part, ended))
        if time.monotonic() > until:
            raise StackError(_failure(settings, part, f"not healthy within {part.deadline:.0f} s: {reason}"))
        time.sleep(0.1)


def _ended(state: ProgramState | None, pids: set[int]) -> str | None:
    """Say whether a program has ended at least once; `pids` collects those it had, since it is started again."""
    if state is None:
        return "the supervisor does not know its program"
    if state.pid:
        pids.add(state.pid)
    if state.state in {"BACKOFF", "FATAL", "EXITED"} or len(pids) > 1:
        return "its process ended" if pids or "quickly" in state.message else state.message
    return None


def _failure(settings: Settings, part: Part, why: str) -> str:
    path = log_path(settings, part)
    if path is None:
        return f"{part.label} at {part.address} did not start: {why}."
    try:
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    said = "".join("\n    " + PASSWORD.sub(r"://\1:***@", line[:300]) for line in lines[-LAST_LINES:])
    return f"{part.label} did not start: {why}. Its log is {path}" + (f", and ends with:{said}" if said else ".")
