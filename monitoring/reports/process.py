"""The report's process, seen from the job that wants one: started early, asked once, waited for with a deadline.

A process of its own because Evidently's import costs more than all the rest of a check, and because a report that
fails, hangs or runs out of memory must not take the decision with it.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from flywheel.connections import QUIET
from flywheel.errors import FlywheelError
from flywheel.stack.processes import recorded_command

TIMEOUT_SECONDS = 180.0


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
        at: The end of the window (naive UTC, ISO 8601), at which the workspace's plots show it; '' for now.
    """

    current: str
    reference: str
    folder: str
    task: str = "binary"
    workspace: str = ""
    use_case: str = ""
    at: str = ""


class ReportProcess:
    """One report's process; leaving the block ends it."""

    def __init__(self, home: Path) -> None:
        log = home / "logs" / "monitor-report.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        # Passwords stay here: Evidently needs none.
        environment = {
            name: value for name, value in os.environ.items() if "PASSWORD" not in name and "URL" not in name
        }
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                recorded_command(home, "monitor-report", [sys.executable, "-m", "monitoring.reports.report"]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**environment, **QUIET, "FLYWHEEL_HOME": str(home)},
            )
        self._log = log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def ask(self, job: ReportJob) -> None:
        """Hand over the job; the report is made while the caller goes on."""
        assert self._process.stdin is not None  # noqa: S101  opened above
        try:
            self._process.stdin.write(json.dumps(asdict(job)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as fault:
            raise FlywheelError(f"The report's process has ended; see {self._log}.") from fault

    def wait(self, timeout: float = TIMEOUT_SECONDS) -> list[Path]:
        """Return the files of the report.

        Args:
            timeout: Seconds.

        Raises:
            FlywheelError: It failed or took too long.
        """
        try:
            answer, _ = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as fault:
            raise FlywheelError(f"The report was not ready after {timeout:.0f} s; see {self._log}.") from fault
        if self._process.returncode != 0 or not answer.strip():
            raise FlywheelError(f"The report failed: {self._last_line()} See {self._log}.")
        return [Path(name) for name in json.loads(answer.strip().splitlines()[-1])]

    def _last_line(self) -> str:
        lines = [line for line in self._log.read_text().splitlines() if line.strip()]
        return lines[-1].rstrip(".") + "." if lines else f"its process ended with code {self._process.returncode}."
