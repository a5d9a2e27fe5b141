"""What a controller tells of itself: its passes, when the last one was, and what it decided.

A controller is a `flywheel deploy` or what stands for one; it tells by a textfile, since it has no port and may end
within seconds.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Gauge

from deploy.loop.interfaces import Ledger
from deploy.loop.progress import Progress, UnfinishedError
from deploy.loop.reconcile import Ticking
from deploy.loop.standing import Standing
from flywheel.events import Event, EventKind
from flywheel.textfile import Textfile

PROCESS = "controller"


class Passes:
    """Counts of the controllers of one home.

    Args:
        told: Where they are told; it is written after every pass.
    """

    def __init__(self, told: Textfile) -> None:
        self._told = told
        self._passes = told.counter("flywheel_controller_passes", "Passes, by result.", ("result",))
        self._decisions = told.counter("flywheel_controller_decisions", "Decisions, by event.", ("event",))
        self._last = Gauge(
            "flywheel_controller_last_pass_timestamp_seconds", "When the last pass ended.", registry=told.registry
        )
        self._seconds = Gauge("flywheel_controller_last_pass_seconds", "Time it took.", registry=told.registry)

    def decided(self, kind: EventKind) -> None:
        """Count a decision."""
        self._decisions.labels(str(kind)).inc()

    def ended(self, result: str, seconds: float) -> None:
        """Count a pass, `done` or `failed`."""
        self._passes.labels(result).inc()
        self._seconds.set(seconds)
        self._last.set_to_current_time()
        self._told.write()


class WatchedController:
    """A controller whose passes are counted, and what they find is kept for others to see."""

    def __init__(
        self,
        controller: Ticking,
        passes: Passes,
        clock: Callable[[], float] = time.monotonic,
        *,
        standing: Standing | None = None,
    ) -> None:
        self._controller, self._passes, self._clock, self._standing = controller, passes, clock, standing

    def tick(self) -> list[Progress]:
        """Reconcile once.

        Raises:
            FlywheelError: As of the controller; the pass is counted as failed.
        """
        began, result = self._clock(), "failed"
        try:
            progress = self._controller.tick()
            result = "done"
            self._keep(progress)
        except UnfinishedError as fault:
            self._keep(fault.progress)
            raise
        finally:
            self._passes.ended(result, self._clock() - began)
        return progress

    def _keep(self, progress: list[Progress]) -> None:
        if self._standing is not None:
            self._standing.keep(progress)


class WatchedLedger:
    """A ledger whose events are counted as decisions; what only confirms one is none."""

    def __init__(self, ledger: Ledger, passes: Passes) -> None:
        self._ledger, self._passes = ledger, passes

    def read(self) -> list[Event]:
        """Return all events in order."""
        return self._ledger.read()

    def record(self, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        """Append one event durably before returning."""
        self._ledger.record(kind, subject, body)
        if body.get("state") != "done":
            self._passes.decided(kind)
