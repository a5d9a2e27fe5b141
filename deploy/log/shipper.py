"""The shipper: moves spooled predictions and the gateway's access log into the prediction log, exactly once.

    python -m deploy.log.shipper --home HOME [--once]

It owns all spools of a node and is the only appender of the tables predictions and requests. How far a file has been
shipped is kept in the table itself, in the same commit as the rows (an application transaction: the file, and the byte
offset), so a kill at any point repeats nothing and loses nothing.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import structlog

from deploy.log.access_log import AccessLog
from deploy.log.clock import Clock, SystemClock
from deploy.log.disk import LOCAL, Disk
from deploy.log.hourly import Hourly, housekeeping
from deploy.log.measured import MeasuredLog
from deploy.log.outcome_spools import OutcomeSpools
from deploy.log.rotation import rotation
from deploy.log.spools import Spools
from deploy.log.tables import OutcomeTables
from flywheel.errors import FlywheelError, StackError
from flywheel.stopping import stop_on_signals
from flywheel.storage import PredictionLog, TableName
from flywheel.telemetry import configure_logs
from flywheel.textfile import Textfile

PERIOD_SECONDS = 1.0
# So a table has at most this many small files.
COMPACT_EVERY = 64
DRAIN_SECONDS = 120.0

log = structlog.get_logger()


class Shipper:
    """Ships what is there, one `tick` at a time. Only one may work on a home: see `ownership`."""

    def __init__(
        self,
        home: Path,
        *,
        tables: OutcomeTables | None = None,
        disk: Disk = LOCAL,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        clock = clock or SystemClock()
        chance = chance or random.Random()  # noqa: S311  # for jitter
        self._tables = tables = tables or PredictionLog(home / "log")
        self._spools = Spools(home / "spool", tables, disk, clock, chance=chance)
        self._outcomes = OutcomeSpools(home / "outcomes", tables, disk, clock, chance=chance)
        position = home / "log" / ".gateway-position.json"
        lines = home / "logs" / "gateway.jsonl"
        self._access_log = AccessLog(lines, position, tables)
        self._rotation = rotation(home, lines)
        self._commits: Counter[tuple[str, TableName]] = Counter()

    def tick(self) -> int:
        """Ship one block of each file; return the number of commits."""
        self._rotation.tick()
        before = self._commits.total()
        for use_case, _ in self._spools.ship():
            self._count(use_case, "predictions")
        for use_case, _ in self._outcomes.ship():
            self._count(use_case, "outcomes")
        for use_case, _ in self._access_log.ship():
            self._count(use_case, "requests")
        return self._commits.total() - before

    def drain(self) -> None:
        """Ship until nothing is left.

        Raises:
            StackError: Something cannot be shipped.
        """
        while self.tick():
            pass
        if left := self.unshipped():
            raise StackError(f"{left[0]} cannot be shipped. The shipper's log says why.")

    def unshipped(self) -> list[Path]:
        """Return files with whole lines that are not in the log yet, by the log's own account."""
        return self._spools.unshipped() + self._outcomes.unshipped() + self._access_log.unshipped()

    def _count(self, use_case: str, table: TableName) -> None:
        self._commits[use_case, table] += 1
        if self._commits[use_case, table] % COMPACT_EVERY == 0:
            try:
                self._tables.compact(use_case, table)
            except StackError as fault:  # untidy, but nothing is lost
                log.warning("not compacted", use_case=use_case, table=table, reason=str(fault))


def ownership(home: Path, disk: Disk = LOCAL) -> AbstractContextManager[bool]:
    """Try to become the home's only shipper; says whether that worked. The lock ends with the process."""
    return disk.own(home / "log" / ".shipper.lock")


def drain(home: Path, *, deadline_seconds: float = DRAIN_SECONDS) -> None:
    """Return when every whole line that exists now is in the log, by our own work or by the shipper that runs.

    Raises:
        StackError: It took longer, or something cannot be shipped.
    """
    end = time.monotonic() + deadline_seconds
    while time.monotonic() < end:
        with ownership(home) as owner:
            shipper = Shipper(home)
            if owner:
                return shipper.drain()
            if not shipper.unshipped():
                return None
        time.sleep(0.2)
    raise StackError(f"The shipper of {home} did not catch up within {deadline_seconds:.0f} seconds. See its log.")


def run(
    home: Path,
    clock: Clock,
    *,
    period_seconds: float,
    shipper: Shipper,
    disk: Disk = LOCAL,
    hourly: Hourly | None = None,
) -> None:
    """Ship until the clock says that it is time to end, and once more then; have the housekeeping run beside it.

    Raises:
        StackError: Another shipper owns this home.
    """
    with ownership(home, disk) as owner:
        if not owner:
            raise StackError(f"Another shipper works on {home}. Stop it first, or leave the work to it.")
        while not clock.wait(period_seconds):
            shipper.tick()
            if hourly is not None:
                hourly.tick()
        shipper.tick()
        if hourly is not None:
            hourly.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the shipper until SIGTERM or SIGINT, or with --once until nothing is left; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.log.shipper", description="Ship spools into the prediction log."
    )
    parser.add_argument("--home", type=Path, required=True, help="home folder of the stack")
    parser.add_argument("--once", action="store_true", help="ship what is there, then end")
    parser.add_argument("--period", type=float, default=PERIOD_SECONDS, help="seconds between batches")
    options = parser.parse_args(arguments)
    configure_logs(machine=True)
    home = options.home.expanduser().resolve()
    stop = stop_on_signals()
    try:
        if options.once:
            drain(home)
        else:
            clock = SystemClock(stop)
            told = Textfile(home, "shipper")
            shipper = Shipper(home, tables=MeasuredLog(home / "log", told), clock=clock)
            with told.kept():
                run(home, clock, period_seconds=options.period, shipper=shipper, hourly=housekeeping(home))
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
