"""The registry's own process, beside the MLflow server: its program, and the heartbeat by which its health is known."""

import json
import os
import sys
import time
from pathlib import Path

from flywheel.connections import write_private
from flywheel.settings import Settings
from flywheel.stack import objects
from flywheel.stack.processes import started_ticks
from flywheel.stack.supervisor import Program

NAME = "registry"
SECRETS = "FLYWHEEL_HOOK_"  # variables of the caller that begin so are handed on: secrets that hooks.yaml names
# What the server has and this process has no use for: it logs nobody in, and signs nothing.
NOT_HANDED_ON = frozenset(
    {
        "MLFLOW_AUTH_ADMIN_PASSWORD",
        "MLFLOW_FLASK_SERVER_SECRET_KEY",
        "FLYWHEEL_SIGNING_KEY",
        "FLYWHEEL_SIGNING_PASSWORD",
        "FLYWHEEL_SIGNER",
    }
)
LATE_SECONDS = 15.0
FINE = frozenset({"leads", "waits"})


def program(settings: Settings, server: Program) -> Program:
    """Return the program; it works with the MLflow server's own database, object store and policy."""
    kept = {name: text for name, text in os.environ.items() if name.startswith(SECRETS)}
    shared = {name: text for name, text in server.environment.items() if name not in NOT_HANDED_ON}
    shared["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = f"s3://{objects.BUCKET}"  # as `mlflow server` tells its workers
    environment = {**shared, **kept, "FLYWHEEL_HOOKS": str(settings.root / "hooks.yaml")}
    return Program(NAME, [sys.executable, "-m", "registry"], environment)


def beat_path(settings: Settings) -> Path:
    """Return the file of the heartbeat."""
    return settings.root / "run" / "registry.json"


def write_beat(settings: Settings, state: str) -> None:
    """Say that the process lives, and what it does: `leads`, `waits`, or why neither."""
    write_private(beat_path(settings), json.dumps({"pid": os.getpid(), "at": time.time(), "state": state}))


def answers(settings: Settings) -> str | None:
    """Return why the process is not healthy, or None when its heart beats."""
    try:
        beat = json.loads(beat_path(settings).read_text())
        pid, age, state = int(beat["pid"]), time.time() - float(beat["at"]), str(beat["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said yet that it lives"
    if started_ticks(pid) is None:
        return "its process has ended"
    if age > LATE_SECONDS:
        return f"it was last heard of {age:.0f} s ago"
    return None if state in FINE else state
