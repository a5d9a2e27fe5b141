"""Measures a folder in a process of its own, and holds that to bounds of time and memory.

A gate that hangs, or whose process dies, could not run; the gates after it are measured by the next process.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from registry.gates.evidence import Measurement, Outcome
from registry.gates.processes import end_tree, memory_mb
from registry.gates.run import Task
from registry.gates.server import bare_environment

LOOK_SECONDS = 0.5  # how often the memory is looked at
Found = Callable[[str, Measurement], None]
Starts = Callable[[str], None]


@dataclass(frozen=True)
class Bounds:
    """What measuring may take at most: seconds for one gate, MB for all processes together."""

    gate_seconds: float = 240.0
    memory_mb: float = 8000.0


def measure(
    task: Task,
    found: Found,
    *,
    starts: Starts = lambda gate: None,
    bounds: Bounds = Bounds(),  # frozen
) -> None:
    """Measure all gates of a task and tell each as soon as it is known.

    Args:
        task: What to measure; its `work` gets the files of the processes.
        found: Is told gate and measurement, once a gate.
        starts: Is told each gate that is begun.
        bounds: Beyond them the gate that was at work could not run.
    """
    waiting = list(dict.fromkeys(task.gates))

    def tell(gate: str, measurement: Measurement) -> None:
        waiting.remove(gate)
        found(gate, measurement)

    while waiting:
        process = _Process(task.model_copy(update={"gates": tuple(waiting)}), bounds)
        at_work, reason = process.follow(tell, starts)
        if reason and waiting:
            tell(at_work if at_work in waiting else waiting[0], Measurement(Outcome.COULD_NOT_RUN, reason))


class _Process:
    """One run of `registry.gates.run`."""

    def __init__(self, task: Task, bounds: Bounds) -> None:
        self._task, self._bounds = task, bounds

    def follow(self, found: Found, starts: Starts) -> tuple[str, str]:
        """Start it and pass on what it says; return the gate at work and why it ended early, '' when it did not."""
        with tempfile.TemporaryDirectory(prefix="run-", dir=self._task.work) as place:
            work = Path(place)
            file = work / "task.json"
            file.write_text(self._task.model_copy(update={"work": work}).model_dump_json())
            with (work / "gates.log").open("wb") as log, self._started(file, log) as process:
                try:
                    return self._read(process, work / "gates.log", found, starts)
                finally:
                    end_tree(process.pid)

    def _started(self, file: Path, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        environment = bare_environment(sys.executable, file.parent)
        if "PYTHONPATH" in os.environ:  # of a checkout that is not installed
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        return subprocess.Popen(
            [sys.executable, "-m", "registry.gates.run", str(file)],
            cwd=file.parent,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )

    def _read(self, process: "subprocess.Popen[bytes]", log: Path, found: Found, starts: Starts) -> tuple[str, str]:
        at_work, deadline = "", time.monotonic() + self._bounds.gate_seconds
        for line in self._lines(process):
            if line is None:
                if time.monotonic() > deadline:
                    return at_work, f"The gate took longer than {self._bounds.gate_seconds:.0f} s and was ended."
                if memory_mb(process.pid) > self._bounds.memory_mb:
                    return at_work, f"Measuring took more than {self._bounds.memory_mb:.0f} MB and was ended."
            elif "starts" in line:
                at_work, deadline = str(line["starts"]), time.monotonic() + self._bounds.gate_seconds
                starts(at_work)
            else:
                measurement = line["measurement"]
                found(line["gate"], Measurement(**{**measurement, "outcome": Outcome(measurement["outcome"])}))
                at_work = ""
        code = process.wait()
        return at_work, f"The process ended with code {code}. {_end(log)}" if code else ""

    @staticmethod
    def _lines(process: "subprocess.Popen[bytes]") -> Iterator[dict[str, Any] | None]:
        """Yield what the process says until it closes its output, and None when it has said nothing for a while."""
        said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        out = process.stdout

        def read() -> None:
            for line in out:
                said.put(line)
            said.put(None)

        threading.Thread(target=read, daemon=True).start()
        while True:
            try:
                line = said.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                yield None
                continue
            if line is None:
                return
            yield json.loads(line)


def _end(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"Its log ends: {lines[-1][:300]}" if lines else "It said nothing."
