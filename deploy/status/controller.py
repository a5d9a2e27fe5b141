"""Whether a controller is at work: when it passed last, as it tells itself (`deploy.loop.passes`), and if it runs."""

from dataclasses import dataclass
from pathlib import Path

from deploy.local.staying import NAME
from deploy.loop.passes import PROCESS
from deploy.status.page import read_single
from flywheel.stack.processes import read_records, started_ticks
from flywheel.textfile import textfile_path

# A controller passes about once a second; one pass may wait for MLflow.
AT_WORK_SECONDS = 15.0
SERIES = "flywheel_controller_last_pass_timestamp_seconds"


@dataclass(frozen=True)
class ControllerState:
    """What is known of controllers.

    Attributes:
        last_pass_seconds_ago: Seconds since the last pass of any; None before the first.
        running: Whether the process of the one that stays lives. A `flywheel deploy` is seen by its passes alone.
    """

    last_pass_seconds_ago: float | None
    running: bool = False

    @property
    def at_work(self) -> bool:
        """Whether one has passed lately."""
        return self.last_pass_seconds_ago is not None and self.last_pass_seconds_ago < AT_WORK_SECONDS


def controller_state(home: Path, now: float) -> ControllerState:
    """Read what the last controller has told (`now`: seconds since 1970)."""
    try:
        last = read_single(textfile_path(home, PROCESS).read_text(), SERIES)
    except (OSError, ValueError):
        last = None
    return ControllerState(max(now - last, 0.0) if last else None, _runs(home))


def _runs(home: Path) -> bool:
    """Say whether a recorded controller lives; numbers of processes are used again, their start times are not."""
    return any(one.name == NAME and started_ticks(one.pid) == one.started for one in read_records(home))
