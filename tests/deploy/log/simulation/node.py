"""One simulated node from start to end: agents, shippers one after the other, faults, calm, and what must then hold."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from structlog.testing import capture_logs

from deploy.log.clock import Clock
from deploy.log.shipper import Shipper, run
from flywheel.errors import StackError
from tests.deploy.log.simulation.agents import HOME, Agent, Kind
from tests.deploy.log.simulation.disk import Medium, VirtualDisk
from tests.deploy.log.simulation.tables import Store, VirtualTables
from tests.deploy.log.simulation.world import BrokenPromiseError, Killed, Process, World

LIVES = 3
TICKS_OF_CALM = 60  # at most; it ends when nothing is left


class VirtualClock:
    """Time of one process that ends after so many ticks: `deploy.log.clock.Clock`."""

    def __init__(self, node: "Node", process: Process, ticks: int, calm_at: int | None) -> None:
        self._node = node
        self._world = node.world
        self._process = process
        self._left = ticks
        self._calm_at = calm_at

    def now(self) -> float:
        return self._world.time

    def wait(self, seconds: float) -> bool:
        self._world.moment(self._process)
        if self._left == self._calm_at:
            self._world.calm()
        stood_still = self._world.chance.random() < 0.05  # all was suspended
        self._world.time += 1000.0 if stood_still else 31.0 if self._world.is_calm else seconds
        self._left -= 1
        return self._left < 0 or (self._world.is_calm and not self._node.left())


MakeShipper = Callable[..., Shipper]


class GuardedDisk(VirtualDisk):
    """A disk on which no segment goes before what it promised is safe."""

    def __init__(self, node: "Node", process: Process) -> None:
        super().__init__(node.medium, node.world, process)
        self._node = node

    def remove(self, path: Path) -> None:
        if path.suffix == ".jsonl" and path in self._node.medium.files:
            self._node.check_removal(path)
        super().remove(path)


class Node:
    """A node made from a seed; `make` builds its shippers."""

    def __init__(self, seed: int, make: MakeShipper = Shipper) -> None:
        self.world = World(seed)
        self.medium = Medium(self.world)
        self.store = Store(self.world)
        self._make = make
        spools: list[tuple[Kind, str]] = [("predictions", "spool/tiny-v1"), ("predictions", "spool/tiny-v2")]
        spools += [("outcomes", "outcomes/tiny-v1"), ("outcomes", "outcomes/tiny-v2")]
        for kind, folder in self.world.chance.sample(spools, 2):
            Agent(self.world, self.medium, kind, HOME / folder)

    def live(self) -> None:
        """Run shippers, one after the other, with faults; then without, until all is shipped; and check."""
        with capture_logs(), self._sizes():
            self.world.rival = lambda: self.shipper(self.world.chance.randint(1, 3))
            for _ in range(LIVES):
                self.shipper(self.world.chance.randint(1, 4))
            self.world.rival = None
            survived = self.shipper(TICKS_OF_CALM + 2, calm_at=TICKS_OF_CALM)
            if not survived:
                self.world.calm()
                self.shipper(TICKS_OF_CALM)
        self.check()

    @contextmanager
    def _sizes(self) -> Iterator[None]:
        """Have some nodes read small blocks and make small commits, so that files and folders take several."""
        block, commit = self.world.chance.choice((1500, 8 << 20)), self.world.chance.choice((2000, 48 << 20))
        with patch("deploy.log.segments.BLOCK_BYTES", block), patch("deploy.log.spools.COMMIT_BYTES", commit):
            yield

    def shipper(self, ticks: int, calm_at: int | None = None) -> bool:
        """Run a shipper until it has made its ticks, or is killed; say whether it lived."""
        process = Process()
        clock: Clock = VirtualClock(self, process, ticks, calm_at)
        disk, tables = GuardedDisk(self, process), VirtualTables(self.store, self.world, process)
        try:
            shipper = self._make(HOME, tables=tables, disk=disk, clock=clock, chance=self.world.chance)
            run(HOME, clock, period_seconds=1.0, shipper=shipper, disk=disk)
        except Killed:
            return False
        except StackError as fault:
            if "Another shipper" not in str(fault):
                raise
        finally:
            process.alive = False
        return True

    def check_removal(self, path: Path) -> None:
        """Hold what is about to be removed against what was promised of it."""
        table = "outcomes" if path.is_relative_to(HOME / "outcomes") else "predictions"
        safe = set(self.store.ids(table, settled=self.world.power))
        if missing := self.world.promises.of_segment.get(path, set()) - safe:
            raise BrokenPromiseError(f"{path} is removed before {sorted(missing)} are safe")
        torn = bytes(self.medium.files[path].content[self.store.position(table, path.stem) or 0 :])
        if torn and not any(kept.endswith(torn) for kept in self._set_aside(path)):
            raise BrokenPromiseError(f"{path} is removed before its torn end is set aside")

    def check(self) -> None:
        """Hold the tables and the disk against what was promised."""
        for table, promised in self.world.promises.rows.items():
            there = Counter(self.store.ids(table))
            if doubled := [one for one, count in there.items() if count > 1]:
                raise BrokenPromiseError(f"doubled in {table}: {doubled}")
            if lost := promised - there.keys():
                raise BrokenPromiseError(f"lost from {table}: {sorted(lost)}")
        self._check_bad_lines()
        if left := self.left():
            raise BrokenPromiseError(f"left behind: {left}")

    def left(self) -> list[Path]:
        """Return what must not be there in the end: segments, and temporary files."""
        return [path for path in self.medium.files if path.suffix not in (".rejected", ".json", ".lock")]

    def _set_aside(self, segment: Path) -> list[bytes]:
        """Return what was set aside of a segment, with a chance of power loss what is on the medium of it."""
        files = [(path, file) for path, file in self.medium.files.items() if path.suffix == ".rejected"]
        own = [(path, bytes(file.content)) for path, file in files if path.name.startswith(f"{segment.stem}.")]
        return [self.medium.survives(path) if self.world.power else content for path, content in own]

    def _check_bad_lines(self) -> None:
        for segment, most in self.world.promises.bad_at_most.items():
            kept = Counter(line for part in self._set_aside(segment) for line in part.splitlines(keepends=True))
            if missing := self.world.promises.bad_at_least.get(segment, Counter()) - kept:
                raise BrokenPromiseError(f"bad lines of {segment} are not set aside: {missing}")
            # What lost its commit with the power is set aside again, by blocks that may begin elsewhere.
            more = [line for line in most if kept[line] > most[line] and not self.world.happened["power"]]
            if more:
                raise BrokenPromiseError(f"bad lines of {segment} are set aside more than once: {more}")
