"""Evidently's own pages over its workspace, as a program of the stack; `flywheel up` starts it, on loopback."""

import secrets
import sys

from flywheel.connections import QUIET
from flywheel.settings import Settings
from flywheel.stack.ports import free_port
from flywheel.stack.supervisor import Program, program_states, start_program, write_program

NAME = "evidently"
FOLDER = "evidently"  # of the home


def program(settings: Settings, port: int) -> Program:
    """Return the program; nobody can change anything through it, since nobody is told its secret."""
    folder = settings.root / FOLDER
    command = [sys.executable, "-m", "evidently.cli", "ui", "--host", "127.0.0.1", "--port", str(port)]
    return Program(
        NAME,
        [*command, "--workspace", str(folder)],
        {**QUIET, "EVIDENTLY_SECRET": secrets.token_hex(16), "GIT_COMMIT": "", "PYTHONWARNINGS": "ignore"},
        address=f"http://127.0.0.1:{port}",
    )


def after_up(settings: Settings, say: object) -> None:
    """Start it; nothing waits for it, since nothing depends on it. Found as an entry point `flywheel.up`."""
    if NAME in program_states(settings):
        return
    (settings.root / FOLDER).mkdir(parents=True, exist_ok=True)
    made = program(settings, free_port())
    write_program(settings, made)
    start_program(settings, NAME)
    if callable(say):
        say(f"Evidently's pages come at {made.address}")
