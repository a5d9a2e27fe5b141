"""What a simulated node shares: time, chance, processes that die, and what was promised to whom.

Each call that the shipper makes of its disk, its clock or its tables is two moments, before and after its effect. At
each the agents go on, and the one that called may be killed, the machine may lose power, or another shipper may start.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class Killed(BaseException):
    """The process that made this call is dead; nothing of it runs any more, no handler and no cleaning up."""


class BrokenPromiseError(AssertionError):
    """The shipper did what it must never do."""


@dataclass(eq=False)
class Process:
    """One process: it holds locks while it lives, and makes no call when it is dead."""

    alive: bool = True


@dataclass
class Promises:
    """What agents were told is safe, by table: ids of rows; and lines that are no records, by their segment."""

    rows: dict[str, set[str]] = field(default_factory=lambda: {"predictions": set(), "outcomes": set()})
    of_segment: dict[Path, set[str]] = field(default_factory=dict)
    bad_at_least: dict[Path, Counter[bytes]] = field(default_factory=dict)
    bad_at_most: dict[Path, Counter[bytes]] = field(default_factory=dict)


@dataclass
class Rates:
    """Chances of faults, each of one moment or one call."""

    kill: float = 0.0
    power: float = 0.0
    disk: float = 0.0
    store: float = 0.0
    rival: float = 0.0

    @classmethod
    def drawn(cls, chance: random.Random, *, power: bool) -> "Rates":
        """Draw a node's luck: most have some of the faults, rarely or often."""
        drawn = [chance.choice((0.0, 0.002, 0.01, 0.04)) for _ in range(4)]
        return cls(drawn[0], drawn[1] if power else 0.0, drawn[2], drawn[3], chance.choice((0.0, 0.01)))


class World:
    """A node from a seed. `power` says whether agents sync what they write, and the machine may lose power."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311  # a test's dice
        self.power = self.chance.random() < 0.5
        self.rates = Rates.drawn(self.chance, power=self.power)
        self.time = 0.0
        self.outage_ends = 0.0
        self.promises = Promises()
        self.happened: Counter[str] = Counter()
        self.is_calm = False
        self.bystanders: list[Callable[[], None]] = []  # what else may go on at any moment
        self.last_rites: list[Callable[[], None]] = []  # what ends with the faults
        self.blackout: list[Callable[[], None]] = []  # what loss of power does, part by part
        self.rival: Callable[[], object] | None = None  # starts another shipper

    def moment(self, process: Process) -> None:
        """Let others go on, and fate do its worst to whoever makes a call now."""
        if not process.alive:
            raise Killed
        for go_on in self.bystanders:
            if self.chance.random() < 0.3:
                go_on()
        if self._strikes("kill"):
            process.alive = False
            raise Killed
        if self._strikes("power"):
            process.alive = False
            for lose in self.blackout:
                lose()
            raise Killed
        if self.rival is not None and self._strikes("rival"):
            start, self.rival = self.rival, None  # one at a time
            start()
            self.rival = start

    def disk_fails(self) -> bool:
        """Say whether this call to the disk fails."""
        return self._strikes("disk")

    def store_is_away(self) -> bool:
        """Say whether the store is away now; once it is, then for a while."""
        if self._strikes("store"):
            self.outage_ends = self.time + self.chance.choice((1.0, 20.0, 300.0))
        return self.time < self.outage_ends

    def calm(self) -> None:
        """End all faults, and the agents."""
        self.is_calm = True
        self.rates = Rates()
        self.outage_ends = self.time
        self.bystanders.clear()
        for end in self.last_rites:
            end()

    def _strikes(self, kind: str) -> bool:
        rate = getattr(self.rates, kind)
        struck = bool(rate and self.chance.random() < rate)
        self.happened[kind] += struck
        return struck
