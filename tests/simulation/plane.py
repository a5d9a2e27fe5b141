"""The data plane of the simulation: programs, and an Envoy that takes a file late, forgets, and counts.

One tick is one second. Envoy's counters are kept by arm as the target reads them; a restart of Envoy begins them anew.
"""

import random
from dataclasses import dataclass, field

from deploy.desired import Served
from deploy.shares import Share
from tests.simulation.world import World

# Bounds in seconds under which requests are counted as the gateway's histogram does.
BOUNDS = (0.05, 0.25, 1.0)
Arm = tuple[str, str]


@dataclass
class Program:
    """One version's programs: since which tick, and whether they live."""

    since: int
    dead_since: int | None = None


@dataclass
class Plane:
    """What runs, what is written for Envoy, and what Envoy does with it."""

    world: World
    chance: random.Random
    ticks: int = 0
    programs: dict[Served, Program] = field(default_factory=dict)
    file: dict[str, Share] = field(default_factory=dict)
    in_force: dict[str, Share] = field(default_factory=dict)
    taken_at: int = 0
    up_at: int = 0
    checked_at: int = 0
    counters: dict[Arm, list[int]] = field(default_factory=dict)
    truth: dict[Arm, int] = field(default_factory=dict)  # requests of an arm, whatever Envoy has forgotten
    silent: set[str] = field(default_factory=set)  # digests that did not answer at some time
    draining: set[Served] = field(default_factory=set)
    lives: int = 0  # how often Envoy was started anew
    asked: int = 0
    unanswered: int = 0

    def advance(self) -> None:
        """Let a second pass: programs come up, and Envoy takes what was written."""
        self.ticks += 1
        if self.is_up and self.ticks >= self.taken_at:
            self.in_force = dict(self.file)

    @property
    def is_up(self) -> bool:
        """Whether Envoy answers."""
        return self.ticks >= self.up_at

    def write(self, usecase: str, share: Share | None) -> None:
        """Write a use case's part of the file; Envoy takes it after a while."""
        self.file = {name: one for name, one in self.file.items() if name != usecase}
        if share is not None:
            self.file[usecase] = share
        self.taken_at = self.ticks + self.chance.choice((0, 0, 1, 1, 2, 5))
        self.world.say(f"route {usecase}: {told(share)}")

    def restart_envoy(self, down: int, forgets: int) -> None:
        """Kill Envoy: it is gone for some ticks, knows no file for some more, and nobody's health at first."""
        self.counters.clear()
        self.lives += 1
        self.in_force = {}
        self.up_at = self.ticks + down
        self.taken_at = self.up_at + forgets
        self.checked_at = self.taken_at + self.chance.choice((0, 1, 3))

    def start(self, served: Served) -> None:
        """Start a version's programs; another controller may have done so meanwhile."""
        self.programs.setdefault(served, Program(self.ticks))
        self.world.say(f"start {served.subject}")

    def stop(self, served: Served) -> None:
        """Stop a version's programs; another controller may have done so meanwhile."""
        self.programs.pop(served, None)
        self.draining.discard(served)
        self.world.say(f"stop {served.subject}")

    def answers(self, served: Served) -> bool:
        """Say whether a version answers in truth."""
        program, nature = self.programs.get(served), self.world.nature(served)
        if program is None or program.dead_since is not None or nature.crashes:
            return False
        return self.ticks >= program.since + nature.start_ticks

    def healthy(self, served: Served) -> bool:
        """Say whether Envoy finds a version healthy."""
        return self.ticks >= self.checked_at and self.answers(served)

    def die(self, served: Served) -> None:
        """End a version's programs by themselves."""
        self.programs[served].dead_since = self.ticks
        self.silent.add(served.digest)

    def revive(self) -> None:
        """Let the supervisor bring back what is dead."""
        for served, program in self.programs.items():
            if program.dead_since is not None:
                self.programs[served] = Program(self.ticks)

    def traffic(self, requests: int) -> None:
        """Let so many requests of each use case come."""
        for share in self.in_force.values() if self.is_up else ():
            challenger = share.challenger
            there = challenger is not None and self.healthy(challenger)
            part = self._binomial(requests, share.percent / 100) if there else 0
            self._serve(share, requests - part)
            if challenger is not None and there:
                self._count(f"{share.rollout}", "challenger", challenger, part)
                mirrored = self._binomial(requests, share.mirror_percent / 100)
                self._count(f"{share.rollout}", "shadow", challenger, mirrored)
                self.asked += part

    def _serve(self, share: Share, requests: int) -> None:
        self.asked += requests
        if self.answers(share.champion):
            self._count(share.champion.subject, "champion", share.champion, requests)
        elif share.previous is None or not self.answers(share.previous):
            self.unanswered += requests

    def _count(self, name: str, arm: str, served: Served, requests: int) -> None:
        nature = self.world.nature(served)
        slow = self._binomial(requests, nature.slow)
        counted = (requests, self._binomial(requests, nature.errors), requests, slow, self._binomial(slow, 0.2))
        kept = self.counters.setdefault((name, arm), [0] * len(counted))
        self.counters[name, arm] = [before + more for before, more in zip(kept, counted, strict=True)]
        self.truth[name, arm] = self.truth.get((name, arm), 0) + requests

    def _binomial(self, count: int, share: float) -> int:
        if count * share * (1 - share) > 25:  # the normal distribution is near enough, and a hundred times faster
            return min(max(round(self.chance.gauss(count * share, (count * share * (1 - share)) ** 0.5)), 0), count)
        return sum(self.chance.random() < share for _ in range(count)) if share else 0


def told(share: Share | None) -> str:
    """Say what is routed."""
    if share is None:
        return "nothing"
    others = [f"{one.served.version} at {one.percent} %" for one in share.challengers]
    mirrored = [f"mirror {share.mirror_percent:g} %"] if share.mirror_percent else []
    return ", ".join([f"champion {share.champion.version}", *others, *mirrored])
