"""`python -m flywheel.stack.launch NAME -- CMD…`: records this process in FLYWHEEL_HOME, then becomes the command.

`--program FILE` takes a whole program (see `flywheel.stack.supervisor.Program`) from a file instead, so that secrets
stay out of command lines and of the supervisor's configuration. The log is opened here rather than piped through the
supervisor: a program then outlives a killed supervisor without losing its output.
"""

import argparse
import json
import os
import pwd
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from flywheel.open_files import raise_limit
from flywheel.stack.processes import MARK, living, record

ROTATE_BYTES = 20_000_000


def main() -> None:
    """Record, redirect, drop privileges, and become the command."""
    parser = argparse.ArgumentParser(prog="flywheel.stack.launch")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--home", type=Path, default=os.environ.get("FLYWHEEL_HOME", ".flywheel"))
    parser.add_argument("--program", type=Path)
    parser.add_argument("--user")
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    options, command = parser.parse_args(words[:cut]), words[cut + 1 :]
    home = options.home.resolve()
    if options.program:
        run_program(home, json.loads(options.program.read_text()))
    elif options.name and command:
        become(home, options.name, command, user=options.user)
    else:
        parser.error("give a name and, after --, a command")


def run_program(home: Path, program: dict[str, Any]) -> None:
    """Become a program read from its file."""
    name = program["name"]
    _end_orphans(home, name)
    _log_to(home / "logs" / f"{name}.log")
    os.environ.update(program["environment"])
    os.chdir(program["directory"] or home)
    become(home, name, program["command"], user=program["user"], stop=program["stop_signal"])


def become(home: Path, name: str, command: list[str], *, user: str | None = None, stop: str = "TERM") -> None:
    """Record the process, mark its descendants, and replace it by the command."""
    os.environ[MARK] = record(home, name, stop=stop).mark
    raise_limit()  # gateway and agents hold ten thousand connections
    if user:
        identity = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(identity.pw_gid)
        os.setuid(identity.pw_uid)
    try:
        os.execvp(command[0], command)  # noqa: S606  # no shell is wanted
    except OSError as fault:
        sys.exit(f"{name}: cannot start {command[0]}: {fault.strerror}.")


def _end_orphans(home: Path, name: str) -> None:
    """End what a killed predecessor of this program left: `mlflow models serve` leaves a child that holds its port."""
    for entry in living(home):
        if entry.name == name:
            with suppress(ProcessLookupError):
                os.kill(entry.pid, signal.SIGKILL)


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > ROTATE_BYTES:
        path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


if __name__ == "__main__":
    main()
