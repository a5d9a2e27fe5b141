"""The controller against simulated parts: whatever happens, and wherever it crashes, the same things stay true."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from deploy.controller import Condition, Controller, Progress, Readiness
from deploy.desired import Served
from deploy.journal import Journal
from deploy.rollout import History, Phase, histories, intended
from deploy.shares import Share
from deploy.verdict import Look, Plan, replay
from flywheel.events import GENESIS, Event, EventKind, Head, chained, verify
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec

FLIGHTS = "flights-delay"
START = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = RolloutSpec(steps=(10, 50), max_minutes=30)


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
    routed: Share | None = None
    counters: dict[str, list[int]] = field(default_factory=dict)
    now: datetime = START
    crash_after: int | None = None
    shares: list[Share] = field(default_factory=list)

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

    def roll_back(self, to: str) -> None:
        """Do as `flywheel rollback` does: what is in Production goes, and a former champion comes back."""
        for version in [one for one, stage in self.stages.items() if stage == "Production" and one != to]:
            self.archive(version, "grace")
        self._transition(to, "Production", "grace", rollback=True)

    def _transition(self, version: str, stage: str, actor: str, **more: bool) -> None:
        body = {"model": FLIGHTS, "version": version, "to": stage, "digest": self.digests[version], **more}
        self.stages[version] = stage
        self.append(EventKind.TRANSITION, f"{FLIGHTS}/{version}", actor, body)

    def traffic(self, requests: int, canary_errors: int = 0) -> None:
        share = self.routed
        if share is None:
            return
        canary = requests * share.percent // 100 if share.challenger else 0
        if share.challenger is not None and share.challenger.version not in self.dead:
            counts = self.counters.setdefault(f"{share.rollout}", [0, 0])
            counts[0] += canary
            counts[1] += min(canary_errors, canary)
        self.counters.setdefault("champion", [0, 0])[0] += requests - canary


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

    def set_alias(self, usecase: str, alias: str, version: str | None) -> None:
        assert usecase == FLIGHTS
        if self._world.aliases.get(alias) == version:
            return
        self._world.touch()
        if version is None:
            del self._world.aliases[alias]
        else:
            self._world.aliases[alias] = version

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
        return SPEC

    def ensure(self, served: Served) -> Condition:
        if served.version in self._world.cannot_start:
            return Condition(Readiness.FAILED, "It did not start. The end of its log: no such column.")
        found = self._world.running.get(served)
        if found is None:
            self._world.touch()
        self._world.running[served] = Readiness.STARTING if found is None else Readiness.READY
        return Condition(self._world.running[served])

    def route(self, shares: Sequence[Share]) -> set[str]:
        for share in shares:
            parts = [one for one in (share.champion, share.challenger) if one is not None]
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

    def look(self, share: Share) -> Look:
        canary = self._world.counters.get(f"{share.rollout}", [0, 0])
        baseline = self._world.counters.get("champion", [0, 0])
        return Look(*canary, *baseline)

    def retire(self, keep: set[Served]) -> bool:
        routed = self._world.routed
        in_use = {routed.champion, routed.challenger} if routed else set()
        left = [served for served in self._world.running if served not in keep]
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
    return Controller(
        SimulatedLedger(world), SimulatedRegistry(world), SimulatedTarget(world), Journal(folder), lambda: world.now
    )


def run(world: World, folder: Path, *, ticks: int = 60, requests: int = 1000, errors: int = 0) -> Progress | None:
    one, progress = controller(world, folder), None
    for _ in range(ticks):
        world.now += timedelta(seconds=1)
        found = one.tick()
        world.traffic(requests, errors)
        progress = found[0] if found else None
        if progress is not None and progress.settled:
            return progress
    return progress


def live(world: World, folder: Path) -> World:
    world.approve("1")
    run(world, folder)
    return world


def test_the_first_version_goes_live_at_once(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    assert world.aliases == {"champion": "1"}
    assert [share.percent for share in world.shares] == [0]
    assert [event.kind for event in world.events[1:]] == [
        EventKind.ROLLOUT_STARTED,
        EventKind.ROLLOUT_PROMOTED,
        EventKind.ROLLOUT_PROMOTED,
    ]


def test_a_good_version_goes_through_every_step_and_replaces_the_champion(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    progress = run(world, tmp_path)
    assert progress is not None
    assert progress.settled
    assert world.aliases == {"champion": "2"}
    assert world.stages == {"1": "Archived", "2": "Production"}
    assert [share.percent for share in world.shares] == [0, 10, 50, 0]
    assert {served.version for served in world.running} == {"2"}


def test_a_bad_version_is_rolled_back_archived_with_its_verdict_and_stays_back(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    progress = run(world, tmp_path, errors=50)
    assert progress is not None
    assert "fails more often" in progress.reason
    assert world.stages == {"1": "Production", "2": "Archived"}
    assert world.aliases == {"champion": "1"}
    assert world.routed == Share(intended(histories(world.events)[FLIGHTS]).champion)  # type: ignore[union-attr]
    before = len(world.events)
    world.approve("2")  # the same bytes once more
    run(world, tmp_path)
    assert len(world.events) == before + 1
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.VERDICT


def test_the_decision_can_be_replayed_from_its_event(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, errors=50)
    event = next(one for one in world.events if one.kind == EventKind.ROLLOUT_ROLLED_BACK)
    _, verdict = replay(Plan(SPEC.steps), [[Look(*counts) for counts in event.body["looks"]]])
    assert verdict is not None
    assert verdict.call == "roll back"
    assert verdict.numbers == event.body["numbers"]


def test_a_version_that_cannot_start_fails_and_the_champion_is_untouched(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.cannot_start.add("2")
    world.approve("2")
    progress = run(world, tmp_path)
    assert progress is not None
    assert "no such column" in progress.reason
    assert [share.percent for share in world.shares] == [0]
    assert world.stages["2"] == "Archived"


def test_a_newer_approval_takes_the_place_of_a_rollout(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=20)
    assert world.routed is not None
    assert world.routed.percent == 10
    world.approve("3")
    run(world, tmp_path)
    assert world.aliases == {"champion": "3"}
    assert world.stages == {"1": "Archived", "2": "Archived", "3": "Production"}
    assert [one.cause for one in histories(world.events)[FLIGHTS].rollouts] == [None, Cause.SUPERSEDED, None]


def test_a_withdrawn_version_leaves_traffic_and_may_come_again(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=20)
    world.archive("2", "grace")
    run(world, tmp_path)
    assert world.aliases == {"champion": "1"}
    world.approve("2")
    run(world, tmp_path)
    assert world.aliases == {"champion": "2"}


def test_without_traffic_the_rollout_holds_and_asks_when_time_is_up(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=10, requests=0)
    world.now += timedelta(minutes=31)
    progress = run(world, tmp_path, requests=0)
    assert progress is not None
    assert progress.phase is Phase.HELD
    assert progress.settled
    assert "archive it to end this" in progress.reason


def test_a_bad_canary_that_is_the_only_healthy_copy_is_not_taken_away(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=7, requests=0)
    world.dead.add("1")
    run(world, tmp_path, errors=50, ticks=20)
    assert world.routed is not None
    assert world.routed.percent == 10
    assert histories(world.events)[FLIGHTS].rollouts[-1].phase is Phase.HELD
    world.dead.clear()
    run(world, tmp_path, requests=0)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.VERDICT
    assert world.routed.percent == 0


def test_a_canary_that_stays_silent_is_rolled_back(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=0)
    world.dead.add("2")
    run(world, tmp_path, ticks=120, requests=0)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.HEALTH


def test_a_lost_journal_costs_no_evidence(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=12, requests=200)
    for file in tmp_path.iterdir():
        file.unlink()
    progress = run(world, tmp_path, ticks=20, requests=200)
    assert progress is not None
    assert progress.numbers.get("canary_requests", 1e9) > 400 or progress.settled


@pytest.mark.parametrize("errors", [0, 50])
def test_a_crash_at_any_point_ends_in_the_same_place(tmp_path: Path, errors: int) -> None:
    expected = World()
    live(expected, tmp_path / "straight")
    expected.approve("2")
    run(expected, tmp_path / "straight", errors=errors)
    for after in range(40):
        world = live(World(), tmp_path / f"live-{after}")
        world.approve("2")
        world.crash_after = after
        for _ in range(3):
            try:
                run(world, tmp_path / f"crash-{after}", errors=errors)
            except Crash:
                continue
        assert (world.stages, world.aliases, world.routed) == (expected.stages, expected.aliases, expected.routed)
        assert set(world.running) == set(expected.running)


def restored(world: World, folder: Path) -> Progress:
    """Let a stack start anew: nothing runs, nothing is routed; restore until that is settled."""
    world.running.clear()
    world.routed, one = None, controller(world, folder)
    for _ in range(10):
        (progress,) = one.restore()
        if progress.settled:
            break
    return progress


@pytest.mark.parametrize("ticks", [0, 3, 5, 60])
def test_after_a_start_of_the_stack_traffic_is_what_it_was_and_nothing_is_decided(tmp_path: Path, ticks: int) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=ticks)
    events = list(world.events)
    progress = restored(world, tmp_path)
    assert (progress.settled, progress.reason) == (True, "Live.")
    assert world.events == events
    assert world.routed == intended(histories(events)[FLIGHTS])


def test_what_cannot_start_any_more_is_said_and_not_waited_for(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.cannot_start.add("1")
    progress = restored(world, tmp_path)
    assert progress.settled
    assert "It did not start." in progress.reason


def rolled_back(world: World, folder: Path) -> World:
    live(world, folder)
    world.approve("2")
    run(world, folder)
    assert world.aliases == {"champion": "2"}
    world.roll_back("1")
    return world


def test_a_rollback_takes_all_traffic_back_at_once(tmp_path: Path) -> None:
    world = rolled_back(World(), tmp_path)
    before = len(world.shares)
    progress = run(world, tmp_path, requests=0)
    assert progress is not None
    assert progress.settled
    assert world.aliases == {"champion": "1"}
    assert world.stages == {"1": "Production", "2": "Archived"}
    assert [share.challenger for share in world.shares[before:]] == [None]
    assert histories(world.events)[FLIGHTS].rollouts[-1].rollback


def test_a_version_that_was_rolled_back_from_comes_again_only_when_it_is_approved_anew(tmp_path: Path) -> None:
    world = rolled_back(World(), tmp_path)
    run(world, tmp_path)
    before = len(world.events)
    run(world, tmp_path)
    assert len(world.events) == before
    world.approve("2")
    run(world, tmp_path)
    assert world.aliases == {"champion": "2"}
    assert [share.percent for share in world.shares[-3:]] == [10, 50, 0]
    assert world.stages["1"] == "Archived"


def test_an_ordinary_approval_after_a_rollback_goes_through_the_canary_again(tmp_path: Path) -> None:
    world = rolled_back(World(), tmp_path)
    run(world, tmp_path)
    world.approve("3")
    run(world, tmp_path)
    assert world.aliases == {"champion": "3"}
    assert [share.percent for share in world.shares[-3:]] == [10, 50, 0]
    assert world.stages == {"1": "Archived", "2": "Archived", "3": "Production"}


def test_a_version_that_was_rolled_back_to_and_cannot_start_leaves_what_is_live(tmp_path: Path) -> None:
    world = rolled_back(World(), tmp_path)
    world.cannot_start.add("1")
    progress = run(world, tmp_path)
    assert progress is not None
    assert world.aliases == {"champion": "2"}
    assert world.routed == Share(Served(FLIGHTS, "2", world.digests["2"]))


def test_a_rollback_during_a_canary_ends_it(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=20)
    world.roll_back("1")
    run(world, tmp_path)
    assert world.aliases == {"champion": "1"}
    assert world.stages == {"1": "Production", "2": "Archived"}
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.WITHDRAWN


def test_a_rollback_at_any_tick_of_a_rollout_ends_with_the_old_version_live_and_in_production(tmp_path: Path) -> None:
    for ticks in range(1, 40):
        folder = tmp_path / str(ticks)
        world = live(World(), folder)
        world.approve("2")
        run(world, folder, ticks=ticks)
        world.roll_back("1")
        run(world, folder)
        assert (world.aliases, world.stages) == ({"champion": "1"}, {"1": "Production", "2": "Archived"}), ticks
        assert world.routed == Share(Served(FLIGHTS, "1", world.digests["1"]))


def test_a_rollback_while_the_controller_archives_is_seen_before_it_does(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    one, aliases = controller(world, tmp_path), world.aliases

    class Late(SimulatedRegistry):
        def set_alias(self, usecase: str, alias: str, version: str | None) -> None:
            super().set_alias(usecase, alias, version)
            if alias == "champion" and version == "2" and world.stages["2"] == "Production":
                world.roll_back("1")

    one.registry = Late(world)
    for _ in range(60):
        world.now += timedelta(seconds=1)
        one.tick()
        world.traffic(1000)
    assert aliases == {"champion": "1"}
    assert world.stages == {"1": "Production", "2": "Archived"}


def test_a_crash_at_any_point_of_a_rollback_ends_in_the_same_place(tmp_path: Path) -> None:
    for after in range(12):
        world = rolled_back(World(), tmp_path / f"before-{after}")
        world.crash_after = after
        for _ in range(3):
            try:
                run(world, tmp_path / f"crash-{after}")
            except Crash:
                continue
        assert world.aliases == {"champion": "1"}
        assert world.stages == {"1": "Production", "2": "Archived"}
        assert {served.version for served in world.running} == {"1"}


class Rollouts(RuleBasedStateMachine):
    """People approve and archive, versions die, traffic fails, the controller crashes: in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.controller = controller(self.world, self.folder)
        self.newest = 0

    def teardown(self) -> None:
        """Left alone, with healthy versions and good traffic, every reachable state settles: there is no dead end."""
        with self._temporary:
            self.world.dead.clear()
            progress = run(self.world, self.folder, ticks=200)
            if progress is None:  # Nothing to deploy: whatever was approved was archived before any rollout began.
                assert "Production" not in self.world.stages.values()
                assert not self.world.shares
                assert not any(event.kind == EventKind.ROLLOUT_STARTED for event in self.world.events)
            else:
                assert progress.settled

    @initialize()
    def first_version(self) -> None:
        self.approve()

    @precondition(lambda self: self.newest > 1)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        history = histories(self.world.events).get(FLIGHTS, History(FLIGHTS))
        promoted = [one.new for one in history.rollouts if one.phase is Phase.DONE]
        good = sorted({one.version for one in promoted if one.digest not in history.failed})
        if good:
            self.world.roll_back(data.draw(st.sampled_from(good)))

    @rule()
    def approve(self) -> None:
        self.newest += 1
        self.world.approve(str(self.newest))

    @precondition(lambda self: self.newest > 1)
    @rule(data=st.data())
    def archive(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.world.stages)))
        self.world.archive(version, "grace")

    @rule(data=st.data())
    def die_or_live(self, data: st.DataObject) -> None:
        self.world.dead ^= {data.draw(st.sampled_from(sorted(self.world.stages)))}

    @rule()
    def next_one_cannot_start(self) -> None:
        self.world.cannot_start.add(str(self.newest + 1))

    @rule(requests=st.integers(0, 5000), errors=st.integers(0, 30))
    def traffic(self, requests: int, errors: int) -> None:
        self.world.traffic(requests, errors)

    @rule(seconds=st.integers(1, 600))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(times=st.integers(1, 6), crash_after=st.none() | st.integers(0, 4))
    def tick(self, times: int, crash_after: int | None) -> None:
        self.world.crash_after = crash_after
        for _ in range(times):
            before, routed = len(self.world.events), self.world.routed
            try:
                self.controller.tick()
            except Crash:
                self.controller = controller(self.world, self.folder)
            steps = [event for event in self.world.events[before:] if str(event.kind).startswith("rollout.")]
            assert len(steps) <= 1
            # Traffic moves only where an intent was on record before.
            assert self.world.routed in {routed, *_asked_for(self.world.events[:before])}
        self.world.crash_after = None

    @invariant()
    def nothing_unapproved_is_routed(self) -> None:
        share = self.world.routed
        if share is None:
            return
        ever = {
            (event.body["version"], event.body["digest"])
            for event in self.world.events
            if event.kind == EventKind.TRANSITION and event.body["to"] == "Production"
        }
        assert all((one.version, one.digest) in ever for one in (share.champion, share.challenger) if one)
        assert 0 <= share.percent <= 99

    @invariant()
    def a_failed_digest_never_starts_again(self) -> None:
        history = histories(self.world.events).get(FLIGHTS)
        failed: set[str] = set()
        for rollout in history.rollouts if history else ():
            assert rollout.new.digest not in failed
            if rollout.cause in {Cause.VERDICT, Cause.START, Cause.HEALTH}:
                failed.add(rollout.new.digest)

    @invariant()
    def somebody_always_serves_once_somebody_did(self) -> None:
        if self.world.shares:
            assert self.world.routed is not None
            assert self.world.routed.champion in self.world.running


def _asked_for(events: list[Event]) -> list[Share]:
    history = histories(events).get(FLIGHTS)
    share = intended(history) if history else None
    return [share] if share else []


Rollouts.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRollouts = Rollouts.TestCase
