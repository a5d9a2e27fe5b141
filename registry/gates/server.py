"""A candidate's own `mlflow models serve` on loopback: the process that callers will meet, asked as they will ask it.

The candidate's code runs there, without our environment. Whoever starts it leads a session and ends all of it.
"""

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import urllib3

from flywheel.connections import QUIET
from flywheel.errors import FlywheelError
from registry.gates.fenced import fenced
from registry.gates.processes import end_tree, memory_mb

START_SECONDS = 150.0
ASK_SECONDS = 60.0
# What a program needs to run at all; the rest may hold secrets.
KEPT = ("LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class RefusedQuestionError(FlywheelError):
    """The server answered with a fault; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class UnservedError(FlywheelError):
    """The server does not start or does not answer."""


def bare_environment(python: str, home: Path) -> dict[str, str]:
    """Return the environment of a process that is not trusted: no secret, no address, a home of its own."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        **QUIET,
        "PATH": os.pathsep.join((str(Path(python).parent), os.defpath)),
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",  # bytecode beside the model would change its digest
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "GIT_PYTHON_REFRESH": "quiet",
    }


class ModelServer:
    """One server of one folder, started by the first question. Not for several threads, `start` excepted."""

    def __init__(self, folder: Path, work: Path, python: str) -> None:
        self._folder, self._work, self._python = folder, work, python
        self._process: subprocess.Popen[bytes] | None = None
        self._fault = ""
        self._ready = False
        self._port = 0
        self._http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=ASK_SECONDS))

    def start(self) -> None:
        """Start the process without waiting for it; does nothing when it has been started."""
        if self._process is not None:
            return
        self._port = _free_port()
        serve = [self._python, "-m", "mlflow", "models", "serve", "-m", str(self._folder), "--env-manager", "local"]
        serve += ["-h", "127.0.0.1", "-p", str(self._port), "--workers", "1"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                fenced(serve, read=[self._folder], write=self._work),
                cwd=self._work,
                env=bare_environment(self._python, self._work),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ask(self, question: bytes) -> list[dict[str, Any]]:
        """Post a question and return its predictions, one a row; an answer without names is called by its place.

        Raises:
            RefusedQuestionError: The server answers with a fault.
            UnservedError: It does not start, does not answer, or answers something else than predictions.
        """
        self.wait()
        status, content = self.post(question)
        if status != 200:
            raise RefusedQuestionError(status, _message(content))
        try:
            answer = json.loads(content)["predictions"]
        except (ValueError, KeyError, TypeError) as fault:
            raise UnservedError("The model's server answers something that is no list of predictions.") from fault
        return [_named(row) for row in answer] if isinstance(answer, list) else [_named(answer)]

    def post(self, question: bytes) -> tuple[int, bytes]:
        """Post a question to a server that is ready; return status and content."""
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._port}/invocations"
        try:
            answer = self._http.request("POST", url, body=question, headers=headers)
        except urllib3.exceptions.HTTPError as fault:
            raise UnservedError(f"The model's server does not answer: {type(fault).__name__}. {self._end()}") from fault
        return answer.status, answer.data

    def wait(self) -> None:
        """Start the server if need be, and wait until it is ready.

        Raises:
            UnservedError: It ends or is not ready in time; also at every later call, at once.
        """
        if self._fault:
            raise UnservedError(self._fault)
        self.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._ready:
            if self._process is not None and (code := self._process.poll()) is not None:
                self._fail(f"The model's server ended with code {code} instead of starting. {self._end()}")
            if time.monotonic() > deadline:
                self._fail(f"The model's server was not ready within {START_SECONDS:.0f} s. {self._end()}")
            self._ready = self._pings()
            if not self._ready:
                time.sleep(0.1)

    def memory_mb(self) -> float:
        """Return the memory of all its processes now, in MB."""
        return memory_mb(self._process.pid) if self._process else 0.0

    def close(self) -> None:
        """End all of its processes."""
        if self._process is not None:
            end_tree(self._process.pid)
            self._process.wait()
            self._process, self._ready = None, False

    @property
    def _log(self) -> Path:
        return self._work / "server.log"

    def _fail(self, sentence: str) -> None:
        self._fault = sentence
        self.close()
        raise UnservedError(sentence)

    def _pings(self) -> bool:
        try:
            answer = self._http.request("GET", f"http://127.0.0.1:{self._port}/ping", timeout=2.0)
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == 200

    def _end(self) -> str:
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        faults = [line for line in lines if "Error" in line or "Exception" in line]
        last = (faults or lines or ["nothing"])[-1]
        return f"Its log ends: {last[:300]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _message(content: bytes) -> str:
    """Return the first line of what went wrong, without the rows that MLflow repeats before it."""
    try:
        told = json.loads(content)
        said = str(told.get("message", told))
    except (ValueError, AttributeError):
        said = content[:2000].decode(errors="replace")
    lines = (said.rpartition("Error: ")[2].strip() or "no message").splitlines()
    return lines[0][:300]


def _named(row: Any) -> dict[str, Any]:
    if isinstance(row, dict):
        return row
    return {str(place): value for place, value in enumerate(row)} if isinstance(row, list) else {"0": row}
