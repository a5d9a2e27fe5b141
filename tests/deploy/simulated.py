"""A world of simulated parts for the controller: the chain, the registry, what runs, what is routed and counted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.desired import Served
from deploy.experiments.documents import parse_plan
from deploy.loop.controller import Controller
from deploy.loop.experimenting import Start, Starting
from deploy.loop.interfaces import Condition, Readiness
from deploy.loop.journal import Journal
from deploy.loop.planning import Planning
from deploy.loop.progress import Progress
from deploy.shares import CHALLENGER, CHAMPION, SHADOW, ArmCounts, Share
from flywheel.errors import UsageError
from flywheel.events import GENESIS, Event, EventKind, Head, chained, verify
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec

FLIGHTS = "flights-delay"
START = datetime(2026, 1, 1, tzinfo=UTC)
# Short ways: no shadow, no bake, errors alone; tests of those say so.
PLAIN: dict[str, Any] = {"shadow": None, "bake": timedelta(0), "guard": ("errors",), "least_requests": 1}
SPEC = RolloutSpec(steps=(10, 50), max_minutes=30, **PLAIN)

EXPERIMENT: dict[str, Any] = {
    "name": "two rankers",
    "usecase": FLIGHTS,
    "metric": {"name": "conversion"},
    "shares": {"champion": 50, "challenger": 30, "challenger-2": 20},
    "control": "champion",
    "versions": {"challenger": "2", "challenger-2": "3"},
    "minimum_units": 500,
}


class Crash(BaseException):
    """Ends the controller at once, as kill -9 does: no handler of ours may catch it."""


@dataclass
class World:
    """What survives the controller: the chain, the registry, and what runs and is routed."""

    events: list[Event] = field(default_factory=list)
    stages: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    running: dict[Served, Readiness] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    cannot_start: set[str] = field(default_factory=set)
    cannot_build: set[str] = field(default_factory=set)  # their environments
    routed: Share | None = None
    counters: dict[str, list[int]] = field(default_factory=dict)
    now: datetime = START
    spec: RolloutSpec = SPEC
    crash_after: int | None = None
    shares: list[Share] = field(default_factory=list)
    faults: dict[str, int] = field(
        default_factory=dict
    )  # by version, of champion and further challengers, each time requests come
    rates: dict[str, float] = field(default_factory=dict)  # by version, of conversions
    units: dict[str, tuple[float, float]] = field(default_factory=dict)  # by arm of an experiment: came, converted

    def touch(self) -> None:
        """Count one effect on the world; the controller dies before it when it is its turn."""
        if self.crash_after is not None:
            if self.crash_after == 0:
                self.crash_after = None
                raise Crash
            self.crash_after -= 1

    def append(self, kind: EventKind, subject: str, actor: str, body: Mapping[str, Any]) -> None:
        head = Head(self.events[-1].seq, self.events[-1].hash) if self.events else GENESIS
        self.events.append(chained(head, kind, subject, actor, body, self.now))

    def approve(self, version: str, digest: str | None = None) -> None:
        self.digests[version] = digest or self.digests.get(version) or f"sha256:{int(version):064x}"
        self._transition(version, "Production", "grace")

    def archive(self, version: str, actor: str) -> None:
        self._transition(version, "Archived", actor)

    def roll_back(self, to: str, actor: str = "grace") -> None:
        """Do as `flywheel rollback` does: what is in Production goes, and a former champion comes back."""
        for version in [one for one, stage in self.stages.items() if stage == "Production" and one != to]:
            self.archive(version, actor)
        self._transition(to, "Production", actor, rollback=True)

    def _transition(self, version: str, stage: str, actor: str, **more: bool) -> None:
        body = {"model": FLIGHTS, "version": version, "to": stage, "digest": self.digests[version], **more}
        self.stages[version] = stage
        self.append(EventKind.TRANSITION, f"{FLIGHTS}/{version}", actor, body)

    def traffic(self, requests: int, canary_errors: int = 0, champion_errors: int = 0) -> None:
        """Let so many requests come; of those that reach the new version so many fail, and of the champion's."""
        share = self.routed
        if share is None:
            return
        canary = requests * share.challengers[0].percent // 100 if share.challenger else 0
        failing = champion_errors or self.faults.get(share.champion.version, 0)
        self._count(CHAMPION, requests * share.percent_of_champion // 100, failing)
        for arm, one in zip(list(share.arms)[2:], share.challengers[1:], strict=True):
            count = requests * one.percent // 100
            self._count(f"{share.rollout} {arm}", count, self.faults.get(one.served.version, 0))
        if "-experiment-" in f"{share.rollout}":
            self._measure(share, requests)
        if share.challenger is not None and share.challenger.version not in self.dead:
            self._count(f"{share.rollout}", canary, canary_errors)
            self._count(f"{share.rollout} shadow", int(requests * share.mirror_percent / 100), canary_errors)

    def _measure(self, share: Share, requests: int) -> None:
        """Let each request be a new user, of whom the version's rate converts."""
        parts = dict(
            zip(share.arms, (share.percent_of_champion, *(one.percent for one in share.challengers)), strict=True)
        )
        for arm, served in share.arms.items():
            came, converted = self.units.get(arm, (0.0, 0.0))
            new = requests * parts[arm] / 100
            self.units[arm] = (came + new, converted + new * self.rates.get(served.version, 0.1))

    def look(self, plan: Mapping[str, Any], as_of: datetime) -> dict[str, Any]:
        """Say what a log would of an experiment on conversions."""
        if not all(came for came, _ in self.units.values()) or not self.units:
            raise UsageError("The log has no unit in an arm.")
        arms = {}
        for arm, (came, converted) in self.units.items():
            count, rate = int(came / 2), converted / came
            fold = {"count": count, "mean": rate, "squares": count * rate * (1 - rate)}
            arms[arm] = {"units": 2 * count, "metrics": {plan["metric"]["name"]: [fold, fold]}}
        days = (as_of - datetime.fromisoformat(plan["start"]).replace(tzinfo=None)).total_seconds() / 86_400
        return {"at": as_of.isoformat(), "days": days, "arms": arms}

    def _count(self, arm: str, requests: int, errors: int) -> None:
        counts = self.counters.setdefault(arm, [0, 0])
        counts[0] += requests
        counts[1] += min(errors, requests)


class SimulatedLedger:
    def __init__(self, world: World) -> None:
        self._world = world

    def read(self) -> list[Event]:
        verify(self._world.events)
        return list(self._world.events)

    def record(self, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        self._world.touch()
        self._world.append(kind, subject, "svc-controller", body)
        self._world.touch()


class SimulatedRegistry:
    def __init__(self, world: World) -> None:
        self._world = world

    def stages(self, usecase: str, versions: Iterable[str]) -> dict[str, str]:
        assert usecase == FLIGHTS
        return {version: self._world.stages[version] for version in versions}

    def undecided(self, usecase: str) -> str | None:
        assert usecase == FLIGHTS
        newest, stage = max(self._world.stages.items(), key=lambda one: int(one[0]))
        return newest if stage == "Staging" else None

    def set_alias(self, usecase: str, alias: str, version: str | None) -> None:
        assert usecase == FLIGHTS
        if self._world.aliases.get(alias) == version:
            return
        self._world.touch()
        if version is None:
            del self._world.aliases[alias]
        else:
            self._world.aliases[alias] = version

    def go_back(self, served: Served, reason: str) -> None:
        assert reason
        if self._world.stages[served.version] != "Production":
            self._world.touch()
            self._world.roll_back(served.version, "svc-controller")

    def archive(self, served: Served, reason: str) -> None:
        assert reason
        if self._world.stages[served.version] == "Production":
            self._world.touch()
            self._world.archive(served.version, "svc-controller")


class SimulatedTarget:
    def __init__(self, world: World) -> None:
        self._world = world

    def spec(self, served: Served) -> RolloutSpec:
        assert self._world.digests[served.version] == served.digest
        return self._world.spec

    def ensure(self, served: Served) -> Condition:
        if served.version in self._world.cannot_start:
            return Condition(Readiness.FAILED, "It did not start. The end of its log: no such column.")
        if served.version in self._world.cannot_build:
            return Condition(Readiness.FAILED, "Its index does not answer.", cause=Cause.ENVIRONMENT)
        found = self._world.running.get(served)
        if found is None:
            self._world.touch()
        self._world.running[served] = Readiness.STARTING if found is None else Readiness.READY
        return Condition(self._world.running[served])

    def route(self, shares: Sequence[Share]) -> set[str]:
        for share in shares:
            parts = [*share.arms.values(), *([share.previous] if share.previous else [])]
            if share != self._world.routed and all(self._world.running.get(one) is Readiness.READY for one in parts):
                self._world.touch()
                self._world.routed = share
                self._world.shares.append(share)
                return set()
        return {FLIGHTS} if shares and self._world.routed == shares[0] else set()

    def healthy(self, usecase: str) -> frozenset[str]:
        assert usecase == FLIGHTS
        ready = {served.version for served, one in self._world.running.items() if one is Readiness.READY}
        return frozenset(ready - self._world.dead)

    def counts(self, share: Share) -> dict[str, ArmCounts]:
        arms = {CHAMPION: CHAMPION, CHALLENGER: f"{share.rollout}", SHADOW: f"{share.rollout} shadow"}
        arms |= {arm: f"{share.rollout} {arm}" for arm in list(share.arms)[2:]}
        found = {arm: self._world.counters.get(name, [0, 0]) for arm, name in arms.items()}
        return {arm: ArmCounts(requests, errors) for arm, (requests, errors) in found.items()}

    def retire(self, keep: set[Served], apart: frozenset[str] = frozenset()) -> bool:
        routed = self._world.routed
        in_use = {*routed.arms.values(), routed.previous} if routed else set()
        # What is routed though nothing is kept is the last that answers: it goes on, and nobody waits for its end.
        gone = [served for served in self._world.running if served not in keep and served.usecase not in apart]
        left = [served for served in gone if keep or served not in in_use]
        for served in left:
            if served not in in_use:
                self._world.touch()
                del self._world.running[served]
        return not left

    def remove(self, usecase: str) -> bool:
        assert usecase == FLIGHTS
        self._world.routed = None
        return not self._world.running


def controller(world: World, folder: Path) -> Controller:
    parts = SimulatedLedger(world), SimulatedRegistry(world), SimulatedTarget(world), Journal(folder)
    return Controller(*parts, lambda: world.now, measure=world.look)


def run(
    world: World, folder: Path, *, ticks: int = 60, requests: int = 1000, errors: int = 0, seconds: float = 1
) -> Progress | None:
    one, progress = controller(world, folder), None
    for _ in range(ticks):
        world.now += timedelta(seconds=seconds)
        found = one.tick()
        world.traffic(requests, errors)
        progress = found[0] if found else None
        if progress is not None and progress.settled and not progress.measures:
            return progress
    return progress


def live(world: World, folder: Path) -> World:
    world.approve("1")
    run(world, folder)
    return world


def rolled_back(world: World, folder: Path) -> World:
    live(world, folder)
    world.approve("2")
    run(world, folder)
    assert world.aliases == {"champion": "2"}
    world.roll_back("1")
    return world


def prepared(world: World, *, sticky: bool = True, **changes: Any) -> Start:
    """Return an experiment with versions 2 and 3 as it would start now."""
    planning = Planning(SimulatedTarget(world))
    starting = Starting(SimulatedRegistry(world), planning, world.now, sticky)
    return starting.prepare(parse_plan({**EXPERIMENT, **changes}, "The plan"), world.events)
