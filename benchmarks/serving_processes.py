"""Servers under measurement: each in a process group of its own, ended by its id, never waited for without end."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 120.0
STOP_SECONDS = 10.0
CLIENT_CORES = {0}  # the servers may use all; with two cores a server of one process has the other to itself


class ServerError(Exception):
    """A server did not start; the message holds the end of its log."""


@dataclass(frozen=True)
class Command:
    """How a server is started, and the path on which it answers 200 once it is ready."""

    words: Sequence[str]
    port: int
    ready: str = "/ping"
    environment: Mapping[str, str] | None = None
    folder: Path | None = None


@contextmanager
def running(command: Command, log: Path) -> Iterator[int]:
    """Run a server; yield its process id once it is ready, and end its whole group afterwards.

    Raises:
        ServerError: It ended, or was not ready within START_SECONDS.
    """
    environment = {**os.environ, **(command.environment or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command.words),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=command.folder,
            start_new_session=True,
            preexec_fn=_all_cores,  # noqa: PLW1509  # no threads here yet; the client's pinning must not be inherited
        )
    try:
        _wait_ready(process, command, log)
        yield process.pid
    finally:
        end(process)


def _all_cores() -> None:
    os.sched_setaffinity(0, range(os.cpu_count() or 1))


def pin_client() -> None:
    """Keep this process, the client, on its core."""
    os.sched_setaffinity(0, CLIENT_CORES)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to stop, then kill what is left of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)


def _wait_ready(process: subprocess.Popen[bytes], command: Command, log: Path) -> None:
    url = f"http://127.0.0.1:{command.port}{command.ready}"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"it ended with {process.returncode}: {_tail(log)}")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # http, of our own
                if answer.status == 200:
                    return
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    raise ServerError(f"it was not ready within {START_SECONDS:.0f} seconds: {_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " | ".join(lines[-3:])[-400:] or "no output"


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has taken, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return the memory that a process holds, in MB of 10^6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")
