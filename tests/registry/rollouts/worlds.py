"""Rollouts with much to show: the controller in a simulated world of requests that fail, are slow and have losses."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy.desired import Served
from deploy.evidence.lasting import LastingLosses
from deploy.loop.controller import Controller
from deploy.loop.fold import histories
from deploy.loop.journal import Journal
from deploy.loop.plans import References
from deploy.loop.rollout import Phase, Rollout
from deploy.shares import CHALLENGER, CHAMPION, SHADOW, ArmCounts, Share
from flywheel.errors import StackError
from flywheel.events import Event, EventKind
from flywheel.rollout_spec import Rollout as Way
from tests.deploy.simulated import FLIGHTS, SimulatedLedger, SimulatedRegistry, SimulatedTarget, World

PATIENCE = timedelta(seconds=100)  # of the person who lets it take the manual step
BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5)
LOSS = {"kind": "mean", "low": 0.0, "high": 1.0, "margin": 0.02}
WAY = Way(steps=(1, 5, 25, 50), bake=timedelta(minutes=2), manual=(100,), max_minutes=60)


@dataclass
class Arms:
    """Counts by arm of what is routed.

    Args:
        world: Whose share is routed.
        rate: Chance that a request of the new version fails; the champion's is 0.005.
        slow: How much slower the new version is.
        loss: How much more its loss is.
        seed: Of the chances.
    """

    world: World
    rate: float = 0.005
    slow: float = 1.0
    loss: float = 0.0
    seed: int = 7
    counted: dict[str, list[int]] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311  # a simulation

    def second(self, requests: int) -> None:
        """Let a second of traffic come."""
        share = self.world.routed
        if share is None:
            return
        new = sum(self.chance.random() * 100 < share.percent for _ in range(requests)) if share.challenger else 0
        self._answer(CHAMPION, requests - new, 0.005, 1.0)
        self._answer(f"{share.rollout}", new, self.rate, self.slow)
        copies = int(requests * share.mirror_percent / 100)
        self._answer(f"{share.rollout} shadow", copies, self.rate, self.slow)
        self.losses += [self.chance.gauss(self.loss, 0.08) for _ in range((new + copies) // 4)]

    def _answer(self, arm: str, requests: int, rate: float, slow: float) -> None:
        counts = self.counted.setdefault(arm, [0] * (2 + len(BOUNDS)))
        for _ in range(requests):
            seconds = self.chance.lognormvariate(-3.6, 0.6) * slow
            counts[0] += 1
            counts[1] += self.chance.random() < rate
            for number, bound in enumerate(BOUNDS):
                counts[2 + number] += seconds > bound


class Target(SimulatedTarget):
    def __init__(self, world: World, arms: Arms) -> None:
        super().__init__(world)
        self._arms = arms

    def counts(self, share: Share) -> dict[str, ArmCounts]:
        names = {CHAMPION: CHAMPION, CHALLENGER: f"{share.rollout}", SHADOW: f"{share.rollout} shadow"}
        found = {arm: self._arms.counted.get(name, [0] * (2 + len(BOUNDS))) for arm, name in names.items()}
        return {arm: ArmCounts(one[0], one[1], dict(zip(BOUNDS, one[2:], strict=True))) for arm, one in found.items()}


@dataclass
class Losses:
    """What the prediction log would say: losses of both versions on the same requests, as differences."""

    arms: Arms

    def references(self, champion: Served, new: Served, spec: Way) -> References:
        return References(metrics={"loss": LOSS})

    def evidence(self, rollout: Rollout) -> "Losses":
        return self

    def losses(self, reign: Rollout) -> LastingLosses:
        raise StackError("Nobody watches what is live here.")

    def since(self, cursor: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
        done = cursor.get("losses", 0)
        fresh = [min(max(one, -1.0), 1.0) for one in self.arms.losses[done:]]
        return ({"loss": {"differences": fresh}} if fresh else {}), {"losses": len(self.arms.losses)}


def chain(folder: Path, *, way: Way = WAY, seconds: int = 3000, requests: int = 120, **arms: float) -> list[Event]:
    """Return the events of a first version and of the rollout of a second one, in which people speak too."""
    world = World(spec=way)
    counted = Arms(world, **arms)  # type: ignore[arg-type]  # floats but for the seed
    losses = Losses(counted)
    world.approve("1")
    one = Controller(
        SimulatedLedger(world),
        SimulatedRegistry(world),
        Target(world, counted),
        Journal(folder),
        lambda: world.now,
        observatory=losses,
    )
    for second in range(seconds):
        world.now += timedelta(seconds=1)
        if second == 30:
            world.approve("2")
        _speak(world, second)
        found = one.tick()
        counted.second(requests)
        if second > 60 and found[0].settled and found[0].phase in {Phase.DONE, Phase.ROLLED_BACK}:
            break
    return [event for event in world.events if str(event.kind).startswith("rollout.")]


def _speak(world: World, second: int) -> None:
    """Let people pause it for a while, and let it take the last step."""
    said = {
        70: (EventKind.ROLLOUT_PAUSED, "ada asks what the spike at 12:04 was"),
        95: (EventKind.ROLLOUT_RESUMED, "a deploy next door"),
        240: (EventKind.ROLLOUT_ALLOWED, "four minutes without a complaint"),
    }.get(second)
    history = histories(world.events).get(FLIGHTS)
    current = history.current if history is not None else None
    if current is not None and current.percent == 50 and world.now - current.since == PATIENCE:
        said = (EventKind.ROLLOUT_ALLOWED, "the manual step: support has heard nothing")
    if said and current is not None:
        body = {"rollout": current.name, "version": current.new.version, "reason": said[1]}
        world.append(said[0], current.new.subject, "olga", body)
