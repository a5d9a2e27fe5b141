"""The controller when people go back: at once, at any moment, and without losing the old version."""

from datetime import timedelta
from pathlib import Path

from deploy.desired import Served
from deploy.loop.fold import histories
from deploy.shares import Share
from flywheel.events import EventKind
from flywheel.rollbacks import Cause
from tests.deploy.simulated import FLIGHTS, SimulatedRegistry, World, controller, live, rolled_back, run


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


def test_who_is_gone_back_to_while_it_makes_way_for_a_newer_one_is_not_archived(tmp_path: Path) -> None:
    world = World()
    world.approve("1")
    one = controller(world, tmp_path)
    one.tick()
    world.approve("2")
    one.tick()
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.SUPERSEDED
    world.roll_back("1")  # after that was decided, and before it came true
    run(world, tmp_path)
    assert world.stages == {"1": "Production", "2": "Archived"}
    assert world.aliases == {"champion": "1"}


def test_aliases_go_with_the_traffic_though_a_version_was_approved_meanwhile_that_cannot_start(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.archive("1", "grace")
    world.append(EventKind.ROLLOUT_UNDEPLOYED, f"{FLIGHTS}/1", "svc-controller", {"version": "1", "reason": "old"})
    world.cannot_start.add("2")
    world.approve("2")
    run(world, tmp_path)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.START
    assert {alias: version for alias, version in world.aliases.items() if version is not None} == {}
