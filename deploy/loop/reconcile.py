"""Ticks until nothing is left to do, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from deploy.loop.progress import Progress, UnfinishedError
from deploy.loop.rollout import Phase
from flywheel.errors import FlywheelError, IntegrityError, TransientError

TICK_SECONDS = 1.0
# What a tick has changed is true within milliseconds, and the next tick's to see: so long it is looked for at once.
HURRY_SECONDS, HURRIED_SECONDS = 0.05, 2.0
PROMOTED, ROLLED_BACK = 0, 3


class Ticking(Protocol):
    """A controller, or what stands for one in a test."""

    def tick(self) -> list[Progress]:
        """Reconcile once."""


@dataclass(frozen=True)
class Pace:
    """How time passes for a loop: a monotonic clock in seconds, and how to wait."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass
class Hurry:
    """Ticks follow each other quickly while things change, else about once a second.

    Args:
        clock: Monotonic, seconds.
    """

    clock: Callable[[], float]
    _known: list[tuple[object, ...]] = field(default_factory=list)
    _since: float = float("-inf")

    def seconds(self, progress: list[Progress]) -> float:
        """Return how long to wait after a tick that brought this progress."""
        known: list[tuple[object, ...]] = [(one.usecase, one.phase, one.percent, one.challenger) for one in progress]
        if known != self._known or any(one.acted for one in progress):
            self._known, self._since = known, self.clock()
        return HURRY_SECONDS if self.clock() - self._since < HURRIED_SECONDS else TICK_SECONDS


@dataclass(frozen=True)
class Result:
    """The last progress of each use case, and those in which something was rolled back meanwhile."""

    progress: tuple[Progress, ...]
    rolled_back: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 when what is approved is live, 3 when something was rolled back."""
        return ROLLED_BACK if self.rolled_back else PROMOTED


def run_until_settled(
    controller: Ticking, pace: Pace, timeout: float, show: Callable[[list[Progress]], None]
) -> Result:
    """Tick until every use case is settled: about once a second, and at once while things change.

    Args:
        controller: Ticks.
        pace: The clock.
        timeout: Seconds after which to give up waiting; what runs goes on running.
        show: Is given the progress of each tick.

    Raises:
        IntegrityError: The record of a use case cannot be read; all others are settled.
        FlywheelError: Time is up, or a rollout is held, or paused, and waits for people.
    """
    began, rolled_back, fault, progress = pace.clock(), dict[str, None](), "", list[Progress]()
    hurry = Hurry(pace.clock)
    while pace.clock() - began <= timeout:
        fault = ""
        try:
            progress = controller.tick()
        except UnfinishedError as passing:  # what a rollback came of must not be missed, for it says the exit code
            fault, progress = str(passing), passing.progress
        except TransientError as passing:  # Envoy, MLflow or Postgres is restarting: the next tick tries again
            fault = str(passing)
            pace.sleep(TICK_SECONDS)
            continue
        show(progress)
        rolled_back |= {one.usecase: None for one in progress if one.phase is Phase.ROLLING_BACK}
        if not fault and all(one.settled for one in progress):
            return _result(progress, list(rolled_back))
        pace.sleep(TICK_SECONDS if fault else hurry.seconds(progress))
    open_ones = "; ".join(f"{one.usecase}: {one.reason}" for one in progress if not one.settled) or fault
    raise FlywheelError(
        f"Not settled after {timeout:.0f} seconds ({open_ones}). What is live stays live: "
        "run `flywheel deploy` again to go on."
    )


def _result(progress: list[Progress], rolled_back: list[str]) -> Result:
    damaged = [one.reason for one in progress if one.damaged]
    if damaged:
        raise IntegrityError(" ".join(damaged))
    waiting = next((one for one in progress if one.challenger is not None and not one.measures), None)
    if waiting is not None:
        how = "held" if waiting.phase is Phase.HELD else "paused"
        raise FlywheelError(f"The rollout of {waiting.usecase} version {waiting.challenger} is {how}. {waiting.reason}")
    return Result(tuple(progress), tuple(rolled_back))
