"""The process that measures: `python -m registry.gates.run FOLDER`, one JSON line on standard output a gate.

It ends with whoever started it: when its standard input closes, it ends itself and the servers that it has started.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel, ConfigDict

from flywheel.errors import FlywheelError
from flywheel.limits import Limits
from registry.gates.catalogue import ASKING, choose_gates, find_gates
from registry.gates.evidence import Measurement, Outcome
from registry.gates.gate import Candidate, Gate
from registry.gates.processes import adopt_orphans, end_children, end_tree
from registry.gates.server import ModelServer


class Task(BaseModel):
    """What is to be measured; the file that the process is started with holds it as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    work: Path
    gates: tuple[str, ...]
    limits: Limits
    champion: Path | None = None
    champion_fault: str = ""
    python: str = sys.executable


def main(arguments: Sequence[str]) -> None:
    """Measure the task in the file that is named, and print a line when a gate starts and one when it is done."""
    out = _own_output()
    adopt_orphans()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    task = Task.model_validate_json(Path(arguments[0]).read_bytes())
    for line in measure_all(task):
        out.write(json.dumps(line) + "\n")
        out.flush()
    end_children(os.getpid())  # what a model's code has left behind


def measure_all(task: Task) -> Iterator[dict[str, Any]]:
    """Yield {"starts": gate} and then {"gate": …, "measurement": …} for each gate, in the order of measuring."""
    gates = choose_gates(task.gates, find_gates())
    server = ModelServer(task.folder, task.work, task.python)
    candidate = Candidate(
        task.folder,
        task.work,
        task.limits,
        champion=task.champion,
        champion_fault=task.champion_fault,
        python=task.python,
        server=server,
    )
    try:
        if any(gate.name in ASKING for gate in gates):
            server.start()  # while the first gates measure
        for gate in gates:
            yield {"starts": gate.name}
            yield {"gate": gate.name, "measurement": asdict(measured(gate, candidate))}
    finally:
        server.close()


def measured(gate: Gate, candidate: Candidate) -> Measurement:
    """Measure one gate; whatever it raises or answers wrongly is could not run."""
    try:
        found = gate.measure(candidate, candidate.limits)
        if not isinstance(found, Measurement):
            raise TypeError(f"the gate answered {type(found).__name__} instead of a Measurement")
        json.dumps(asdict(found), allow_nan=False)
    except FlywheelError as fault:
        return Measurement(Outcome.COULD_NOT_RUN, str(fault))
    except Exception as fault:  # noqa: BLE001  # one gate must not take the others along
        said = (str(fault).strip() or "no message").splitlines()[0].rstrip(".")[:300]
        return Measurement(Outcome.COULD_NOT_RUN, f"The gate itself failed: {type(fault).__name__}: {said}.")
    return found


def _own_output() -> TextIO:
    """Keep standard output for our lines: what gates print goes to standard error."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return out


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock the interpreter wants when it ends
        pass
    end_tree(os.getpid())


if __name__ == "__main__":
    main(sys.argv[1:])
