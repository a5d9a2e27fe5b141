"""`flywheel down`: ends everything this home has started, whatever happened to it in between; safe to repeat."""

import shutil
import time
from contextlib import suppress

from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack import postgres
from flywheel.stack.gateway import admin_socket, doorman_socket, keys_socket
from flywheel.stack.processes import Record, end_leftovers, living
from flywheel.stack.supervisor import program_states, shut_down, socket_path


def end_stack(settings: Settings, *, patience: float = 15.0) -> list[Record]:
    """End all processes of this home: through the supervisor where it lives, then whatever is left.

    Args:
        settings: Whose home.
        patience: Seconds that polite ways are given before the killing one, each.

    Returns:
        The processes that were found alive.
    """
    root = settings.root
    found = living(root)
    if any(entry.name == "supervisord" for entry in found):
        with suppress(StackError):  # not answering any more: then the records below
            shut_down(settings)
            _await_end(settings, patience)
    end_leftovers(root, patience=patience)
    for name in ("endpoints.json", "registry.json"):  # what says that something runs
        (root / "run" / name).unlink(missing_ok=True)
    for folder in ("conf.d", "programs"):
        shutil.rmtree(root / "supervisor" / folder, ignore_errors=True)
    _forget_socket(settings)
    return found


def erase(settings: Settings) -> None:
    """Remove the home, and the database's folder where that lies outside it; the stack must be down."""
    postgres.erase(settings)
    shutil.rmtree(settings.root, ignore_errors=True)


def _forget_socket(settings: Settings) -> None:
    path = socket_path(settings)
    path.unlink(missing_ok=True)
    for ours in (doorman_socket(settings), keys_socket(settings), admin_socket(settings)):
        ours.unlink(missing_ok=True)
    if path.parent != settings.root / "run":
        with suppress(OSError):  # not there, most of the time
            path.parent.rmdir()


def _await_end(settings: Settings, patience: float) -> None:
    until = time.monotonic() + patience
    while any(entry.name == "supervisord" for entry in living(settings.root)) and time.monotonic() < until:
        with suppress(StackError):
            program_states(settings)  # any call wakes it; unasked, it looks for ended programs once a second
        time.sleep(0.05)
