"""The reports' process, seen from whoever wants some: started early, asked by turns, waited for with a deadline.

A process of its own because Evidently's import costs more than all the rest of a look, which pays it once however many
windows it judges, and not at all without any; and because a report that fails, hangs or runs out of memory must not
take the decision with it.
"""

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from flywheel.connections import QUIET
from flywheel.errors import FlywheelError
from flywheel.stack.processes import recorded_command

TIMEOUT_SECONDS = 180.0
CHUNK = 1 << 16  # bytes; an answer is the names of four files


@dataclass(frozen=True)
class ReportJob:
    """What a report is made of.

    Attributes:
        current: Parquet file: inputs, `prediction`, and `label` (null where not known). Both are names of classes for
            multiclass, numbers for regression; for binary a probability, and 0 or 1.
        reference: Parquet file of the package, with the same columns.
        folder: Where the files go.
        task: binary, multiclass or regression.
        workspace: Folder of Evidently's workspace, where the report is kept as well; '' for none.
        use_case: Names the workspace's project.
        window: In words; of several reports on one window the workspace keeps the newest; '' keeps all.
        at: The end of the window (naive UTC, ISO 8601), at which the workspace's plots show it; '' for now.
    """

    current: str
    reference: str
    folder: str
    task: str = "binary"
    workspace: str = ""
    use_case: str = ""
    window: str = ""
    at: str = ""


class ReportProcess:
    """Makes reports one after the other; leaving the block ends its process.

    A process that has ended, or had to be ended, is followed by another when the next report is asked for.
    """

    def __init__(self, home: Path) -> None:
        self._home, self._log = home, home / "logs" / "monitor-report.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Let the process begin to import Evidently, unless it has."""
        if self.runs:
            return
        self._end()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        # Passwords stay here: Evidently needs none.
        environment = {
            name: value for name, value in os.environ.items() if "PASSWORD" not in name and "URL" not in name
        }
        with self._log.open("w") as errors:
            self._process = subprocess.Popen(
                recorded_command(self._home, "monitor-report", [sys.executable, "-m", "monitoring.reports.report"]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                env={**environment, **QUIET, "FLYWHEEL_HOME": str(self._home)},
            )

    def ask(self, job: ReportJob) -> None:
        """Hand over a job; the report is made while the caller goes on. One that nobody has waited for is given up."""
        if self._asked:
            self._end()  # else its answer would be taken for that of this job
        self.start()
        self._asked = True
        assert self._process is not None  # noqa: S101  # started
        assert self._process.stdin is not None  # noqa: S101  # a pipe
        try:
            self._process.stdin.write((json.dumps(asdict(job)) + "\n").encode())
        except BrokenPipeError as fault:
            raise FlywheelError(f"The report's process has ended; see {self._log}.") from fault

    def wait(self, timeout: float = TIMEOUT_SECONDS) -> list[Path]:
        """Return the files of the report that was asked for.

        Args:
            timeout: Seconds; the process is ended when they are over.

        Raises:
            FlywheelError: It failed or took too long.
        """
        answer = json.loads(self._line(time.monotonic() + timeout, timeout) or "{}")
        self._asked = False
        if "files" not in answer:
            raise FlywheelError(f"The report failed: {answer.get('fault') or self._last_line()} See {self._log}.")
        return [Path(name) for name in answer["files"]]

    def _line(self, deadline: float, timeout: float) -> str:
        """Return the line that answers a job; '' when the process has ended without one."""
        assert self._process is not None  # noqa: S101  # asked
        assert self._process.stdout is not None  # noqa: S101  # a pipe
        read = b""
        while not read.endswith(b"\n"):
            if not select.select([self._process.stdout], [], [], max(deadline - time.monotonic(), 0))[0]:
                self._end()
                raise FlywheelError(f"The report was not ready after {timeout:.0f} s; see {self._log}.")
            chunk = os.read(self._process.stdout.fileno(), CHUNK)
            if not chunk:
                self._process.wait()
                return ""
            read += chunk
        return read.decode()

    def _end(self) -> None:
        self._asked = False
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._process = None

    def _last_line(self) -> str:
        lines = [line for line in self._log.read_text().splitlines() if line.strip()]
        code = None if self._process is None else self._process.returncode
        return lines[-1].rstrip(".") + "." if lines else f"its process ended with code {code}."
