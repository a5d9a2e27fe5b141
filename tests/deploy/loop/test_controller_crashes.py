"""The controller against simulated parts: whatever happens, and wherever it crashes, the same things stay true."""

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from deploy.loop.fold import histories
from deploy.loop.rollout import LIVE, History, intended
from deploy.shares import Share
from flywheel.events import Event, EventKind
from flywheel.rollbacks import Cause
from tests.deploy.simulated import FLIGHTS, Crash, World, controller, live, rolled_back, run


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
        promoted = [one.new for one in history.rollouts if one.phase in LIVE]
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
