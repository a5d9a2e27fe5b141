"""Runs the commands that people would type, keeps what they print, and stops at the first that fails."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from flywheel.connections import QUIET, login
from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.stack.processes import recorded_command

TAIL_LINES = 15


@dataclass
class Running:
    """A command under way; its output goes to `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    accepted: tuple[int, ...]

    def running(self) -> bool:
        """Say whether it has not ended yet."""
        return self.process.poll() is None

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code.

        Raises:
            FlywheelError: It failed or took longer than `timeout` seconds.
        """
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired as fault:
            self.process.terminate()
            raise FlywheelError(f"{self.name} took longer than {timeout:.0f} s. Its output: {self.log}.") from fault
        if code not in self.accepted:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
            raise FlywheelError(f"{self.name} ended with exit code {code}. Its last lines, from {self.log}:\n{tail}")
        return code


def start(
    settings: Settings,
    name: str,
    command: list[str],
    *,
    user: str | None = None,
    accepted: tuple[int, ...] = (0,),
) -> Running:
    """Start a command in the project folder, as `user` of MLflow when given, recorded so that `flywheel down` ends it.

    Args:
        settings: Where the stack is.
        name: What it is called in messages and in its log's name.
        command: Program and arguments, the program on PATH.
        user: Whose login it gets.
        accepted: Exit codes that are no failure.
    """
    log = settings.root / "logs" / f"demo-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **QUIET, "FLYWHEEL_HOME": str(settings.root)}
    if user is not None:
        environment |= login(settings, user)
    with log.open("ab") as output:
        process = subprocess.Popen(
            recorded_command(settings.root, f"demo-{name}", command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    return Running(name, process, log, accepted)
