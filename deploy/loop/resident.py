"""The controller that stays: it goes on with what is under way, ends bakes, heals, and goes back without Postgres.

    python -m deploy.loop.resident

A program of the stack whose home FLYWHEEL_HOME names, started by `flywheel deploy`. It brings no new version, which is
what `flywheel deploy` is for, only former ones back. It leads for one pass at a time, so that a `flywheel deploy` finds
the lock free in between, and stands by while it works.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from deploy.loop.emergency import Emergency
from deploy.loop.leading import local_target, rollout_journal, wired
from deploy.loop.ledger import AwayError, PostgresLedger, Turns, open_ledger
from deploy.loop.passes import PROCESS, Passes, WatchedController, WatchedLedger
from deploy.loop.progress import Progress, UnfinishedError
from deploy.loop.reconcile import Hurry, Ticking
from deploy.loop.standing import Standing
from flywheel.errors import FlywheelError
from flywheel.settings import Settings, load_settings
from flywheel.stopping import stop_on_signals
from flywheel.telemetry import configure_logs
from flywheel.textfile import Textfile, textfile_path

QUIET_SECONDS = 5.0

log = structlog.get_logger()


class Resident:
    """Passes of a controller that starts nothing new.

    Args:
        turns: Of leading.
        make: Makes a controller for a ledger.
        emergency: What is done while Postgres is away.
        told: The file in which controllers tell of themselves; it changes when another one was at work.
    """

    def __init__(
        self, turns: Turns, make: Callable[[PostgresLedger], Ticking], emergency: Emergency, told: Path
    ) -> None:
        self._turns = turns
        self._make = make
        self._emergency = emergency
        self._told = told
        self._controller: tuple[PostgresLedger, Ticking, int] | None = None
        self._fault = ""
        self._back: set[str] = set()  # what was said since Postgres is away

    def step(self) -> list[Progress]:
        """Make one pass, if no other controller is at work; a fault is logged once, and the next pass tries again."""
        progress: list[Progress] = []
        try:
            progress = self._lead()
            self._back.clear()
            self._say(" ".join(one.reason for one in progress if one.damaged))
        except AwayError as fault:
            self._say(str(fault))
            self._go_back()
        except FlywheelError as fault:
            self._say(str(fault))
            if isinstance(fault, UnfinishedError) and isinstance(fault.fault, AwayError):
                self._go_back()  # it may be read, but nothing can be recorded
        except Exception as fault:  # noqa: BLE001  # a fault of ours must not leave a bad version in traffic
            self._say(f"{type(fault).__name__}: {fault}")
            self._go_back()
        return progress

    def _lead(self) -> list[Progress]:
        with self._turns.turn() as ledger:
            if ledger is None:
                return []
            made = self._controller
            if made is None or made[0] is not ledger or made[2] != _changed(self._told):
                made = (ledger, self._make(ledger), 0)  # another one was at work: what this one remembers is old
            try:
                return made[1].tick()
            finally:
                self._controller = (made[0], made[1], _changed(self._told))

    def _go_back(self) -> None:
        try:
            for said in self._emergency.tick():
                self._say_once("traffic is looked after without Postgres", said)
        except FlywheelError as fault:
            self._say_once("traffic cannot be looked after", str(fault))

    def _say_once(self, what: str, reason: str) -> None:
        if reason not in self._back:
            log.warning(what, reason=reason)
        self._back.add(reason)

    def _say(self, fault: str) -> None:
        if fault and fault != self._fault:
            log.warning("a pass has failed", reason=fault)
        self._fault = fault


def is_quiet(progress: list[Progress]) -> bool:
    """Say whether nothing is under way: then passes may be rarer, for each asks agents, gateway and registry."""
    return bool(progress) and all(one.settled and one.challenger is None and not one.acted for one in progress)


def run(settings: Settings, stop: threading.Event) -> None:
    """Make passes until `stop` is set."""
    target, journal = local_target(settings), rollout_journal(settings)

    def make(ledger: PostgresLedger) -> WatchedController:
        passes = Passes(Textfile(settings.root, PROCESS))
        controller = wired(settings, WatchedLedger(ledger, passes), target, journal)
        controller.starts = False
        return WatchedController(controller, passes, standing=Standing(settings.root))

    with open_ledger(settings) as engine:
        turns = Turns(engine)
        emergency = Emergency(journal, target, lambda: datetime.now(UTC))
        resident = Resident(turns, make, emergency, textfile_path(settings.root, PROCESS))
        hurry, seconds = Hurry(time.monotonic), 0.0
        while not stop.wait(seconds):
            progress = resident.step()
            seconds = max(hurry.seconds(progress), QUIET_SECONDS if is_quiet(progress) else 0.0)
        turns.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.loop.resident", description="The controller that stays.")
    parser.parse_args(arguments)
    configure_logs(machine=True)
    stop = stop_on_signals()
    try:
        run(load_settings(), stop)
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        return fault.exit_code
    return 0


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
