"""A version that turns bad after it has taken over goes back to the last good one."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy.loop.fold import histories
from deploy.loop.planning import Planning
from deploy.loop.progress import Progress
from deploy.loop.rollout import Phase
from deploy.loop.vigil import LEARNED_REQUESTS, RECENT_REQUESTS, Vigils, watches_of
from deploy.shares import CHAMPION, ArmCounts
from deploy.verdict.watching import RateWatch, ShareWatch
from deploy.verdict_metrics import LatencySpec
from flywheel.errors import FlywheelError
from flywheel.events import EventKind
from flywheel.policy import RolloutPolicy
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec
from tests.deploy.simulated import FLIGHTS, PLAIN, SimulatedRegistry, SimulatedTarget, World, controller, live, run


def watch(world: World, folder: Path, *, ticks: int, errors: int = 0, starts: bool = False) -> Progress:
    """Let a controller that stays watch for so many looks of ten seconds, with 1,000 requests each."""
    one = replace(controller(world, folder), vigils=Vigils(folder / "vigils"), starts=starts)
    progress: Progress | None = None
    for _ in range(ticks):
        world.now += timedelta(seconds=10)
        (progress,) = one.tick()
        world.traffic(1000, champion_errors=errors)
    assert progress is not None
    return progress


def two_versions(folder: Path, **more: Any) -> World:
    """Return a world in which version 2 has replaced version 1."""
    world = live(World(spec=RolloutSpec(steps=(10, 50), **{**PLAIN, **more})), folder)
    world.approve("2")
    run(world, folder, requests=20_000)
    assert world.aliases == {"champion": "2"}
    return world


def kinds(world: World) -> list[EventKind]:
    return [event.kind for event in world.events]


def test_long_after_its_promotion_the_last_good_version_comes_back_and_the_record_says_why(tmp_path: Path) -> None:
    world = two_versions(tmp_path)
    assert watch(world, tmp_path, ticks=50).reason == "Live."
    watch(world, tmp_path, ticks=30, errors=100)
    assert world.aliases == {"champion": "1"}
    assert world.stages == {"1": "Production", "2": "Archived"}
    event = next(one for one in world.events if one.kind == EventKind.ROLLOUT_TURNED_BAD)
    assert event.subject == f"{FLIGHTS}/2"
    assert event.body["reason"].startswith("Version 2 has turned bad. errors: ")
    assert kinds(world).count(EventKind.ROLLOUT_TURNED_BAD) == 1
    back = [one for one in world.events if one.kind == EventKind.TRANSITION][-1]
    assert (back.actor, back.body["rollback"]) == ("svc-controller", True)
    assert watch(world, tmp_path, ticks=30).settled


def test_a_version_that_keeps_well_is_left_alone(tmp_path: Path) -> None:
    world = two_versions(tmp_path)
    progress = watch(world, tmp_path, ticks=400, errors=1)  # as many as its rollout may have hidden
    assert (progress.settled, progress.champion) == (True, "2")
    assert EventKind.ROLLOUT_TURNED_BAD not in kinds(world)


def test_what_turns_bad_while_it_bakes_goes_back_at_once_by_the_verdict(tmp_path: Path) -> None:
    world = two_versions(tmp_path, bake=timedelta(hours=1))
    watch(world, tmp_path, ticks=30, errors=100)
    rollout = histories(world.events)[FLIGHTS].rollouts[-1]
    assert (rollout.phase, rollout.cause) == (Phase.ROLLED_BACK, Cause.VERDICT)
    assert world.aliases == {"champion": "1"}
    assert world.stages == {"1": "Production", "2": "Archived"}


def test_the_first_version_has_nothing_to_go_back_to_and_people_are_told(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    watch(world, tmp_path, ticks=LEARNED_REQUESTS // 1000 + 2)  # what it may do is learned from its first requests
    progress = watch(world, tmp_path, ticks=30, errors=200)
    assert progress.reason.startswith("errors: ")
    assert world.aliases == {"champion": "1"}


def test_a_registry_that_refuses_leaves_what_is_live_and_says_so(tmp_path: Path) -> None:
    world = two_versions(tmp_path)

    class Refusing(SimulatedRegistry):
        def go_back(self, served: object, reason: str) -> None:
            raise FlywheelError("Version 1 was deleted.")

    one = replace(controller(world, tmp_path), vigils=Vigils(tmp_path / "vigils"))
    one.registry = Refusing(world)
    for _ in range(30):
        world.now += timedelta(seconds=10)
        (progress,) = one.tick()
        world.traffic(1000, champion_errors=300)
    assert world.aliases == {"champion": "2"}
    assert "has turned bad" in progress.reason
    assert kinds(world).count(EventKind.ROLLOUT_TURNED_BAD) == 1


def test_a_restart_forgets_nothing_and_another_rollout_begins_anew(tmp_path: Path) -> None:
    world = two_versions(tmp_path)
    reign = histories(world.events)[FLIGHTS].reign
    assert reign is not None
    vigils = Vigils(tmp_path / "vigils")
    counters = ArmCounts(0, 0)
    for _ in range(20):
        counters = ArmCounts(counters.requests + 1000, counters.errors + 300)
        said = Vigils(tmp_path / "vigils").look(reign, world.now, counters)
    assert list(said) == ["errors"]
    assert vigils.bad(reign) == said
    assert vigils.bad(replace(reign, name="another")) == {}


def test_what_a_version_did_lately_makes_the_next_plan_though_the_gateway_has_forgotten_it(tmp_path: Path) -> None:
    world = two_versions(tmp_path)
    reign = histories(world.events)[FLIGHTS].reign
    assert reign is not None
    vigils, now, slow = Vigils(tmp_path / "more"), world.now, {0.01: 0, 0.02: 0, 0.05: 0}
    vigils.look(reign, now, ArmCounts(0, 0, slow))
    vigils.look(reign, now, ArmCounts(1000, 0, {0.01: 500, 0.02: 90, 0.05: 5}))
    vigils.look(reign, now, ArmCounts(10, 0, slow))  # another place: its counters begin at nothing
    lately = Vigils(tmp_path / "more").lately(reign.new)
    assert lately == ArmCounts(1010, 0, {0.01: 500, 0.02: 90, 0.05: 5})
    assert vigils.lately(replace(reign.new, digest="sha256:other")) is None
    for number in range(1, 200):
        vigils.look(reign, now, ArmCounts(10 + 1000 * number, 0, slow))
    found = vigils.lately(reign.new)
    assert found is not None
    assert found.requests <= 2 * RECENT_REQUESTS

    class Quiet(SimulatedTarget):
        def counts(self, share: object) -> dict[str, ArmCounts]:
            return {CHAMPION: ArmCounts(3, 0, slow)}

    asked = Planning(Quiet(world), None, lambda served: lately if served == reign.new else None)
    plan = asked.plan(reign.new, reign.new, RolloutPolicy(guard=("errors", "latency")))
    assert plan.traffic is not None
    latency = plan.traffic.metrics["latency"]
    assert isinstance(latency, LatencySpec)
    assert latency.seconds.p90 == 0.02


def test_counts_that_say_of_no_rate_that_it_is_too_high_fix_nothing() -> None:
    few, bad = {"requests": 100, "bad": 0}, {"requests": 1000, "bad": 990}
    assert watches_of({"errors": few}) == watches_of({"errors": bad}) == {}
    found = watches_of({name: {"requests": 10_000, "bad": 50} for name in ("errors", "latency")})
    assert isinstance(found["errors"], RateWatch)
    assert isinstance(found["latency"], ShareWatch)
    assert 0.005 < found["errors"].bound < 0.012
    assert found["latency"].mean.bound == 0.02  # a short rollout sees few bursts


def test_on_a_full_disk_what_has_turned_bad_is_found_all_the_same(tmp_path: Path) -> None:
    world = two_versions(tmp_path)
    watch(world, tmp_path, ticks=3)
    (tmp_path / "vigils" / f"{FLIGHTS}.json.new").mkdir()  # nothing can be written there
    watch(world, tmp_path, ticks=30, errors=300)
    assert world.aliases == {"champion": "1"}


def test_what_has_turned_bad_itself_is_not_gone_back_to(tmp_path: Path) -> None:
    world = two_versions(tmp_path)
    watch(world, tmp_path, ticks=30, errors=100)
    assert world.aliases == {"champion": "1"}
    watch(world, tmp_path, ticks=LEARNED_REQUESTS // 1000 + 10)
    progress = watch(world, tmp_path, ticks=60, errors=300)
    assert progress.reason.startswith("errors: ")
    assert world.aliases == {"champion": "1"}
    assert kinds(world).count(EventKind.ROLLOUT_TURNED_BAD) == 1


def test_people_who_bring_back_what_had_turned_bad_have_it_gone_back_to_again(tmp_path: Path) -> None:
    world = two_versions(tmp_path)
    watch(world, tmp_path, ticks=30, errors=100)
    world.roll_back("2")
    run(world, tmp_path)
    assert world.aliases == {"champion": "2"}
    world.roll_back("1")
    run(world, tmp_path)
    previous = histories(world.events)[FLIGHTS].previous
    assert previous is not None
    assert previous.version == "2"
