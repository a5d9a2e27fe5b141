"""When a controller was at work last, as it tells itself: see `deploy.loop.passes`."""

from dataclasses import dataclass
from pathlib import Path

from deploy.loop.passes import PROCESS
from deploy.status.page import read_single
from flywheel.textfile import textfile_path

# A controller passes about once a second; one pass may wait for MLflow.
AT_WORK_SECONDS = 15.0
SERIES = "flywheel_controller_last_pass_timestamp_seconds"


@dataclass(frozen=True)
class ControllerState:
    """Seconds since the last pass of a controller; None before the first."""

    last_pass_seconds_ago: float | None

    @property
    def at_work(self) -> bool:
        """Whether one seems to be at work now."""
        return self.last_pass_seconds_ago is not None and self.last_pass_seconds_ago < AT_WORK_SECONDS


def controller_state(home: Path, now: float) -> ControllerState:
    """Read what the last controller has told (`now`: seconds since 1970)."""
    try:
        last = read_single(textfile_path(home, PROCESS).read_text(), SERIES)
    except (OSError, ValueError):
        last = None
    return ControllerState(max(now - last, 0.0) if last else None)
