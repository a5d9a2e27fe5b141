"""Measures both backends of a version at deploy, in a process of its own: the controller's tick waits for nothing."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from deploy.desired import Served
from deploy.local.choice import Measurement
from flywheel.errors import FlywheelError

SECONDS = 180.0


@dataclass
class Running:
    """A measurement under way: since when (monotonic seconds), and where its answer goes."""

    process: "subprocess.Popen[bytes]"
    since: float
    answer: IO[bytes]


class Measuring:
    """At most one measurement a version at a time. One that dies with its controller is done again by the next."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "deploy.agent.measure")) -> None:
        self._command = command
        self._running: dict[Served, Running] = {}

    def poll(self, served: Served, folder: Path, scorer: str, now: float) -> Measurement | None:
        """Start to measure a version unless that is under way; return what came of it, None while it runs.

        Args:
            served: The version.
            folder: Its verified package.
            scorer: URL of an MLflow worker that serves it and answers.
            now: Monotonic seconds.
        """
        running = self._running.get(served)
        if running is None:
            self._running[served] = self._start(folder, scorer, now)
            return None
        code = running.process.poll()
        if code is None and now - running.since < SECONDS:
            return None
        del self._running[served]
        with running.answer as answer:
            if code is None:
                running.process.kill()
                running.process.wait()
                return Measurement(parity=False, reason=f"measuring did not end within {SECONDS:.0f} seconds")
            answer.seek(0)
            return read_measurement(code, answer.read())

    def drop(self, served: Served) -> None:
        """End the measurement of a version that is wanted no more; nothing happens where there is none."""
        running = self._running.pop(served, None)
        if running is None:
            return
        with running.answer:
            running.process.kill()
            running.process.wait()

    def _start(self, folder: Path, scorer: str, now: float) -> Running:
        answer = tempfile.TemporaryFile()  # noqa: SIM115  # it is closed when it has been read
        command = [*self._command, "--package", str(folder), "--scorer", scorer]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=answer, stderr=answer, env=environment, start_new_session=True
        )
        return Running(process, now, answer)


def read_measurement(code: int, said: bytes) -> Measurement:
    """Read what a measurement printed: its last line is one JSON object; anything else means that it failed."""
    lines = said.decode(errors="replace").strip().splitlines()
    try:
        if code != 0:
            raise FlywheelError(f"it ended with {code}")
        document: dict[str, Any] = json.loads(lines[-1])
        return _measurement(document)
    except (FlywheelError, ValueError, LookupError, TypeError, AttributeError) as fault:
        last = lines[-1][:300] if lines else "it printed nothing"
        return Measurement(parity=False, reason=f"the backends could not be measured ({fault}): {last}")


def _measurement(document: dict[str, Any]) -> Measurement:
    parity = document["parity"]
    return Measurement(
        parity=bool(parity["holds"]),
        difference=parity.get("max_difference"),
        mlflow_ms=(document.get("mlflow") or {}).get("p50_ms"),
        onnx_ms=(document.get("onnx") or {}).get("p50_ms"),
        reason=parity.get("reason") or "",
        numbers=document,
    )
