"""One history: a seed draws what people do, what breaks and when controllers tick; then all is left alone.

One seed is one history, on every machine: nothing here asks the real clock, the network or another source of chance.
"""

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy.loop.controller import Controller
from deploy.loop.journal import Journal
from deploy.loop.progress import Progress
from deploy.loop.rollout import ACTIVE
from deploy.undeployment import record_undeployment
from flywheel.errors import FlywheelError, TransientError
from flywheel.events import EventKind, verify
from flywheel.freeze import Freeze
from flywheel.rollout_spec import Rollout as RolloutSpec
from flywheel.rollout_spec import Shadow
from tests.simulation.gate import Gate
from tests.simulation.invariants import BrokenPromiseError, Invariants
from tests.simulation.parts import DoorRegistry, FaultyDisk, PlaneTarget, SessionLedger
from tests.simulation.plane import Plane
from tests.simulation.world import Crash, Nature, World, policy_with

NAMES = ("flights", "fares")
SHORT: dict[str, Any] = {"shadow": None, "bake": timedelta(0), "guard": ("errors",), "least_requests": 1}
SPECS = (
    RolloutSpec(steps=(10, 50), max_minutes=30, **SHORT),
    RolloutSpec(steps=(10, 50), max_minutes=30, **{**SHORT, "bake": timedelta(minutes=2)}),
    RolloutSpec(steps=(10, 50), max_minutes=60, **{**SHORT, "guard": ("errors", "latency"), "least_requests": 50}),
    RolloutSpec(
        shadow=Shadow(requests=200), steps=(5, 50), guard=("errors",), bake=timedelta(minutes=1), max_minutes=60
    ),
    RolloutSpec(
        strategy="blue_green", shadow=Shadow(requests=100), guard=("errors",), bake=timedelta(minutes=3), max_minutes=60
    ),
    RolloutSpec(
        steps=(1, 5, 25, 50),
        guard=("errors", "latency"),
        shadow=Shadow(requests=100),
        keep_previous=True,
        max_minutes=60,
    ),
    RolloutSpec(steps=(10, 50), manual=(50, 100), max_minutes=60, **SHORT),
    RolloutSpec(steps=(20,), pause=timedelta(minutes=2), max_minutes=60, **SHORT),
)
SETTLE_TICKS = 400
QUIET_TICKS = 12
OUTAGES = ("postgres", "registry", "gateway")


def temporary() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder in memory where there is one: on a disk, syncing looks is most of a history's time."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


@dataclass
class Process:
    """One controller's process: what it remembers goes with it."""

    controller: Controller
    ledger: SessionLedger
    target: PlaneTarget
    disk: FaultyDisk


@dataclass
class Simulation:
    """A history under way.

    Args:
        seed: Draws all of it.
        folder: Of journals; empty.
        change: Breaks a controller on purpose, to see that it is found.
    """

    seed: int
    folder: Path
    change: Callable[[Controller], None] = lambda one: None
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311  # no secret
        self.plane = Plane(self.world, random.Random(self.seed + 1))  # noqa: S311
        self.gate = Gate(self.world)
        self.invariants = Invariants(self.world, self.plane, self.folder)
        self.processes = [self._process(), self._process()]
        self.turn = 0
        self.progress: list[Progress] = []
        self.world.overtake = self._overtake
        self.world.go_back = lambda: self._rolls_back(self.chance.choice(list(self.world.specs)))
        self.stale = False
        self.world.policy = policy_with(self.chance.choice((1, 1, 2)))
        for name in NAMES[: self.chance.choice((1, 1, 1, 2))]:
            self.world.specs[name] = self.chance.choice(SPECS)
        self.requests = self.chance.choice((0, 20, 200, 1000))

    def run(self) -> None:
        """Play the history to its end.

        Raises:
            BrokenPromiseError: A promise was broken.
        """
        for name in self.world.specs:
            self._register(name)
            self._approve(name)
        for _ in range(self.chance.randint(10, 45)):
            self._something_happens()
            for _ in range(self.chance.choice((0, 1, 1, 2, 3, 6, 12, 30))):
                self._tick()
        self._left_alone()

    def _something_happens(self) -> None:
        name = self.chance.choice(list(self.world.specs))
        deeds: list[tuple[int, Callable[[], None]]] = [
            (10, lambda: self._new_version(name)),
            (4, lambda: self._reject(name)),
            (4, lambda: self._archive(name)),
            (3, lambda: self._rolls_back(name)),
            (3, lambda: self._says(name, EventKind.ROLLOUT_PAUSED)),
            (4, lambda: self._says(name, EventKind.ROLLOUT_RESUMED)),
            (6, lambda: self._says(name, EventKind.ROLLOUT_ALLOWED)),
            (2, lambda: self._approve(name)),
            (1, self._freeze),
            (1, lambda: self._undeploy(name)),
            (1, lambda: self._overrides(name)),
            (1, lambda: self._alters(name)),
            (5, self._dies),
            (4, self.plane.revive),
            (10, self._traffic_changes),
            (4, self._envoy_restarts),
            (10, self._fault),
            (8, self._faults_end),
            (5, self._clock_jumps),
            (2, self._journal_is_lost),
            (3, self._hands_over),
            (14, self._nothing),
        ]
        weights = [weight for weight, _ in deeds]
        self.chance.choices(deeds, weights)[0][1]()

    def _nothing(self) -> None:
        """Let time pass."""

    def _new_version(self, name: str) -> None:
        self._register(name)
        self._approve(name)

    def _register(self, name: str) -> None:
        version = str(1 + sum(usecase == name for usecase, _ in self.world.digests))
        same = self.chance.random() < 0.05 and version != "1"
        digest = self.world.digests[name, str(int(version) - 1)] if same else f"sha256:{name}{version}".ljust(71, "0")
        self.world.digests[name, version] = digest
        self.world.authors[name, version] = self.chance.choice(("ada", "ada", "grace"))
        self.world.stages[name, version] = "None"
        bad = self.chance.random()
        nature = Nature(
            errors=0.05 if bad < 0.2 else self.chance.choice((0.0, 0.002, 0.005)),
            slow=0.4 if 0.2 <= bad < 0.3 else 0.05,
            start_ticks=self.chance.choice((1, 2, 2, 5)),
            crashes=0.3 <= bad < 0.37 and version != "1",
        )
        self.world.natures.setdefault(digest, nature if version != "1" else Nature())
        self.world.say(f"{name}/{version} is registered: {self.world.natures[digest]}")

    def _approve(self, name: str) -> None:
        """Have people approve and move a version, mostly the newest; the gate may refuse it."""
        mine = [version for usecase, version in self.world.digests if usecase == name]
        version = mine[-1] if self.chance.random() < 0.85 else self.chance.choice(mine)
        for reviewer in self.chance.sample(("grace", "alan"), self.chance.choice((1, 2))):
            self.gate.review(reviewer, name, version, "approve")
        mover = self.chance.choice(("grace", "alan", "alan", "ada", "vic"))
        if not self.gate.move(mover, name, version, "Production") and self.chance.random() < 0.8:
            for reviewer in ("grace", "alan"):
                self.gate.review(reviewer, name, version, "approve")
                self.gate.move(reviewer, name, version, "Production")

    def _reject(self, name: str) -> None:
        version = self._any_version(name)
        self.gate.review(self.chance.choice(("grace", "alan", "ada")), name, version, "reject")

    def _archive(self, name: str) -> None:
        self.gate.move(self.chance.choice(("olga", "grace", "vic")), name, self._any_version(name), "Archived")

    def _rolls_back(self, name: str) -> None:
        if self.gate.roll_back(self.chance.choice(("olga", "alan")), name):
            self.world.count("people went back")

    def _overrides(self, name: str) -> None:
        self.gate.move(
            self.chance.choice(("root", "grace")), name, self._any_version(name), "Production", override=True
        )

    def _any_version(self, name: str) -> str:
        return self.chance.choice([version for usecase, version in self.world.digests if usecase == name])

    def _says(self, name: str, kind: EventKind) -> None:
        current = self.world.history(name).current
        if current is not None:
            body = {"rollout": current.name, "reason": "because"}
            self.world.append(kind, current.new.subject, "grace", body)

    def _freeze(self) -> None:
        frozen = Freeze(reason="Year's end.", start=self.world.now, end=self.world.now + timedelta(hours=1))
        production = self.world.policy.production.model_copy(update={"freeze": (frozen,)})
        self.world.policy = self.world.policy.model_copy(update={"production": production})
        self.world.say("nothing goes to Production for an hour")
        self.world.count("freeze")

    def _undeploy(self, name: str) -> None:
        for (usecase, version), stage in list(self.world.stages.items()):
            if usecase == name and stage == "Production":
                self.gate.move("olga", name, version, "Archived")
        process = self._process()
        self.world.leader = None
        try:
            record_undeployment(process.ledger, process.controller.registry, name, "no longer needed")
        except (FlywheelError, Crash):
            return
        finally:
            self.world.leader = None

    def _alters(self, name: str) -> None:
        """Somebody changes the stored bytes of a version that is not running."""
        version = self._any_version(name)
        if all(one.version != version or one.usecase != name for one in self.plane.programs):
            digest = f"sha256:altered{name}{version}".ljust(71, "0")
            self.world.digests[name, version] = digest
            self.world.natures.setdefault(digest, Nature())
            self.world.say(f"the bytes of {name}/{version} were changed")
            self.world.count("bytes altered")

    def _dies(self) -> None:
        living = [served for served in self.plane.programs if self.plane.answers(served)]
        if living:
            served = self.chance.choice(living)
            self.plane.die(served)
            self.world.say(f"{served.subject} dies")
            self.world.count("version died")

    def _traffic_changes(self) -> None:
        self.requests = self.chance.choice((0, 5, 50, 500, 2000))
        self.world.say(f"{self.requests} requests a second")

    def _envoy_restarts(self) -> None:
        down, forgets = self.chance.choice((0, 1, 3, 3, 15, 120)), self.chance.choice((0, 1, 4))
        self.plane.restart_envoy(down, forgets)
        self.world.say(f"Envoy restarts: {down} s down, {forgets} s without its file")
        self.world.count("Envoy restarted")

    def _fault(self) -> None:
        """Draw what goes wrong at one of the next effects or calls."""
        faults = self.world.faults
        match self.chance.randrange(7):
            case 0:
                faults.down.add(self.chance.choice(OUTAGES))
            case 1:
                faults.lost_answer = self.chance.choice(("postgres", "postgres", "registry", "gateway", "supervisor"))
            case 2:
                faults.refused = self.chance.choice(("postgres", "registry", "gateway"))
            case 3:
                faults.die_after = self.chance.randint(0, 6)
            case 4:
                faults.overtaken_after = self.chance.randint(0, 4)
            case 5:
                faults.people_after = self.chance.randint(0, 6)
            case _:
                self.processes[self.turn].disk.mode = self.chance.choice(("refused", "torn"))
        self.world.say(f"fault: {faults}")

    def _faults_end(self) -> None:
        self.world.faults.clear()

    def _clock_jumps(self) -> None:
        self.world.now += timedelta(seconds=self.chance.choice((-600, -5, 60, 600, 7200)))
        self.world.say("the clock jumps")
        self.world.count("clock jumped")

    def _journal_is_lost(self) -> None:
        for file in self.folder.glob("*.jsonl"):
            file.unlink()
            self.world.lost_journals.add(file.stem)
            self.world.count("journal lost")

    def _hands_over(self) -> None:
        """The leader's session ends between two ticks; the other process leads from now on."""
        self.world.leader = None
        self.turn = 1 - self.turn
        self.world.say("another controller leads")

    def _overtake(self) -> None:
        """In the middle of the leader's tick another one leads and ticks a few times."""
        mine, self.world.leader, self.stale = self.turn, None, True
        other = self.processes[1 - mine]
        for _ in range(self.chance.randint(1, 3)):
            self._pass_time()
            try:
                other.controller.tick()
            except FlywheelError:
                continue
        self.world.leader = self.chance.choice((None, other.ledger))

    def _pass_time(self) -> None:
        self.world.now += timedelta(seconds=self.chance.choice((1, 1, 1, 9)))
        self.plane.advance()
        self.plane.traffic(self.requests)

    def _tick(self) -> None:
        self._pass_time()
        process, before, file = self.processes[self.turn], len(self.world.events), dict(self.plane.file)
        self.stale, process.target.kept, self.progress = False, None, []
        try:
            self.progress = process.controller.tick()
            self.world.count("tick")
        except TransientError as fault:
            self.world.count("tick failed")
            if self.world.leader not in {None, process.ledger}:
                self.turn = 1 - self.turn
            self.world.say(f"tick failed: {fault}")
        except Crash:
            self.processes[self.turn] = self._process()
            self.world.leader = None
        self.invariants.after_tick(before, file, process.target.kept, stale=self.stale)

    def _process(self) -> Process:
        ledger, target, disk = SessionLedger(self.world), PlaneTarget(self.world, self.plane), FaultyDisk(self.world)
        registry, journal = DoorRegistry(self.world, self.gate), Journal(self.folder, disk.sync)
        controller = Controller(ledger, registry, target, journal, lambda: self.world.now)
        self.change(controller)
        return Process(controller, ledger, target, disk)

    def _left_alone(self) -> None:
        """Let all be well and nobody do anything but let rollouts go on: then everything settles, and agrees."""
        self.world.say("left alone")
        self.world.faults.clear()
        self.plane.revive()
        self.requests = self.chance.choice((2000, 2000, 2000, 0))
        quiet = 0
        for number in range(SETTLE_TICKS):
            self._tick()
            self.world.now += timedelta(seconds=14)
            quiet = quiet + 1 if self._is_settled() else 0
            if quiet == QUIET_TICKS:
                break
            if not self.progress and number > SETTLE_TICKS // 2 and not self._has_begun():
                break
        else:
            reasons = "; ".join(f"{one.usecase}: {one.reason}" for one in self.progress)
            raise BrokenPromiseError(f"left alone for {SETTLE_TICKS} ticks it does not settle: {reasons}")
        self.invariants.settled()
        verify(self.world.events)
        for history in self.world.histories().values():
            for rollout in history.rollouts:
                self.world.count(f"ended {rollout.cause or rollout.phase}")
                self.world.count("rollouts still open") if rollout.phase in ACTIVE else None

    def _is_settled(self) -> bool:
        return bool(self.progress) and all(one.settled or "waits for people" in one.reason for one in self.progress)

    def _has_begun(self) -> bool:
        return any(one.kind == EventKind.ROLLOUT_STARTED for one in self.world.events)


def played(
    seed: int, change: Callable[[Controller], None] = lambda one: None
) -> tuple[World, BrokenPromiseError | None]:
    """Play one history; return its world, and the promise that was broken, if one was."""
    with temporary() as folder:
        simulation = Simulation(seed, Path(folder), change)
        try:
            simulation.run()
        except BrokenPromiseError as fault:
            return simulation.world, fault
        return simulation.world, None
