"""Who fits: a protocol, and the processes of training that do it, since monitoring may not import training.

A process (`python -m training.refit`) serves one thread at a time; it ends with this one, whose end of the pipe
it reads.
"""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from flywheel.errors import DataError, StackError, UsageError

ENCODE, REFIT = "training.encode", "training.refit"


@dataclass(frozen=True)
class Fit:
    """One fit: what it depends on, and the rows it is asked about.

    Attributes:
        family: Of the parameters.
        params: As the first training left them; the same for every policy.
        rows: Places of the first row to train on and of the first that is not.
        predict: The same for the rows to predict.
        half_life: Microseconds after which a row weighs half, None: all alike.
    """

    family: str
    params: Mapping[str, Any]
    rows: tuple[int, int]
    predict: tuple[int, int]
    half_life: int | None = None

    def request(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "do": "fit",
            "family": self.family,
            "params": dict(self.params),
            "rows": list(self.rows),
            "predict": list(self.predict),
            "half_life": self.half_life,
        }


class Trainer(Protocol):
    """Fits; may be asked by several threads at once, and then does as many at once as it has processes."""

    def tune(self, stop: int, validation: tuple[int, int]) -> tuple[str, dict[str, Any]]:
        """Return the family and the parameters that a first training on rows before `stop` comes out with."""

    def fit(self, fit: Fit, output: Path) -> None:
        """Fit, and write the predictions to `output` as a NumPy array, whole or not at all."""


@dataclass
class TrainingProcesses:
    """Some processes of training over one encoded history; a context manager ends them."""

    usecase: Path
    folder: Path
    processes: int = 1
    threads: int = 1
    _free: "queue.Queue[subprocess.Popen[str] | None]" = field(default_factory=queue.Queue)
    _started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Make room for so many processes; each is started when it is needed."""
        for _ in range(self.processes):
            self._free.put(None)
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def tune(self, stop: int, validation: tuple[int, int]) -> tuple[str, dict[str, Any]]:
        """Return family and parameters of a first training."""
        found = self._ask({"do": "tune", "stop": stop, "validation": list(validation)})
        return str(found["family"]), dict(found["params"])

    def fit(self, fit: Fit, output: Path) -> None:
        """Fit in the next process that is free."""
        self._ask({**fit.request(), "output": str(output)})

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._one() as process:
            assert process.stdin is not None  # noqa: S101  both are pipes
            assert process.stdout is not None  # noqa: S101
            try:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except OSError:
                line = ""
        if not line:
            raise StackError("Training's process ended in the middle of a fit: what it said stands above. Start again.")
        answer: dict[str, Any] = json.loads(line)
        if "fault" in answer:
            raise DataError(f"A fit failed: {answer['fault']}")
        return answer

    @contextmanager
    def _one(self) -> Iterator["subprocess.Popen[str]"]:
        process = self._free.get()
        try:
            if process is None or process.poll() is not None:
                process = self._start()
            yield process
        finally:
            self._free.put(process)

    def _start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*_command(REFIT, self.usecase, self.folder), "--threads", str(self.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Threads of XGBoost that spin while they wait crawl on a busy machine.
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(self.threads)},
        )
        self._started.append(process)
        return process


def encode(usecase: Path, as_of: str, folder: Path, begin: str = "") -> None:
    """Let training read, check and encode the history into `folder`, unless it lies there already.

    Raises:
        UsageError: A first training cannot be as of `begin`; nothing was encoded.
        DataError: Training says that the data is not as declared.
    """
    if (folder / "dataset.json").is_file():  # it is written last
        return
    command = [*_command(ENCODE, usecase, folder), "--as-of", as_of, "--begin", begin]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        said = (ended.stderr.strip() or "it said nothing").splitlines()[-1]
        if ended.returncode == UsageError.exit_code:
            raise UsageError(said)
        raise DataError(f"The history of {usecase} cannot be encoded: {said}")


def _command(module: str, usecase: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", module, str(folder), "--usecase", str(usecase)]
