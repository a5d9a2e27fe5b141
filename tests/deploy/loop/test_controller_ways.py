"""The ways that a plan may prescribe: shadow, pauses, people, windows, hooks, bake, blue-green."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from deploy.desired import Served
from deploy.hooks import GROUP, Hooks, Step, installed
from deploy.loop.fold import histories
from deploy.loop.progress import Progress
from deploy.loop.rollout import Phase
from deploy.shares import Challenger, Share
from flywheel.events import EventKind
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec
from flywheel.rollout_spec import Shadow, Window
from tests.deploy.simulated import FLIGHTS, PLAIN, SimulatedTarget, World, controller, live, rolled_back, run


def spec(**more: Any) -> RolloutSpec:
    return RolloutSpec(**{"steps": (10, 50), "max_minutes": 600, **PLAIN, **more})


def canary(folder: Path, **more: Any) -> World:
    """Return a world in which version 1 is live and version 2 approved."""
    world = live(World(spec=spec(**more)), folder)
    world.approve("2")
    return world


def say(world: World, kind: EventKind, reason: str = "because") -> None:
    rollout = histories(world.events)[FLIGHTS].rollouts[-1]
    world.append(kind, rollout.new.subject, "grace", {"rollout": rollout.name, "reason": reason})


def percents(world: World) -> list[int]:
    return [share.percent for share in world.shares]


def phase(world: World) -> Phase:
    return histories(world.events)[FLIGHTS].rollouts[-1].phase


def test_a_shadow_comes_before_the_first_step_and_nobody_gets_its_answers(tmp_path: Path) -> None:
    world = canary(tmp_path, shadow=Shadow(requests=500, percent=50))
    run(world, tmp_path, ticks=4, requests=0)
    assert world.routed is not None
    assert (world.routed.percent, world.routed.mirror_percent) == (0, 50)
    assert phase(world) is Phase.SHADOW
    run(world, tmp_path)
    assert world.aliases == {"champion": "2"}
    assert percents(world) == [0, 0, 10, 50, 0]
    assert [share.mirror_percent for share in world.shares] == [0, 50, 0, 0, 0]


def test_a_version_that_fails_on_shadow_requests_never_answers_anybody(tmp_path: Path) -> None:
    world = canary(tmp_path, shadow=Shadow(requests=500))
    run(world, tmp_path, errors=50)
    assert phase(world) is Phase.ROLLED_BACK
    assert percents(world) == [0, 0, 0]
    assert world.stages["2"] == "Archived"


def test_blue_green_goes_from_the_shadow_to_all_of_the_traffic(tmp_path: Path) -> None:
    world = canary(tmp_path, strategy="blue_green", shadow=Shadow(requests=100), bake=timedelta(minutes=5))
    run(world, tmp_path)
    assert world.aliases == {"champion": "2"}
    assert percents(world) == [0, 0, 0]
    assert phase(world) is Phase.BAKING


def test_the_old_version_stays_warm_while_the_new_one_bakes_and_is_archived_after_it(tmp_path: Path) -> None:
    world = canary(tmp_path, bake=timedelta(minutes=10))
    progress = run(world, tmp_path)
    old, new = (one.new for one in histories(world.events)[FLIGHTS].rollouts)
    assert progress is not None
    assert (progress.settled, progress.champion, progress.challenger) == (True, "2", None)
    assert "stays warm" in progress.reason
    assert world.routed == Share(new, previous=old)
    assert world.stages == {"1": "Production", "2": "Production"}
    assert set(world.running) == {old, new}
    world.now += timedelta(minutes=11)
    run(world, tmp_path)
    assert world.stages == {"1": "Archived", "2": "Production"}
    assert (phase(world), world.routed, set(world.running)) == (Phase.DONE, Share(new), {new})


def test_a_version_that_dies_while_it_bakes_gives_way_to_the_old_one_at_once(tmp_path: Path) -> None:
    world = canary(tmp_path, bake=timedelta(minutes=10))
    run(world, tmp_path)
    world.dead.add("2")
    for _ in range(100):  # the controller stays, as one that runs all the time does
        run(world, tmp_path, ticks=1, requests=0)
    one = controller(world, tmp_path)
    for _ in range(110):
        world.now += timedelta(seconds=1)
        one.tick()
    assert world.aliases == {"champion": "1"}
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.HEALTH
    assert world.stages == {"1": "Production", "2": "Archived"}


def test_people_who_go_back_while_it_bakes_need_no_start(tmp_path: Path) -> None:
    world = canary(tmp_path, bake=timedelta(minutes=10))
    run(world, tmp_path)
    world.archive("2", "grace")
    run(world, tmp_path, requests=0)
    assert world.aliases == {"champion": "1"}
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.WITHDRAWN


def test_a_newer_version_ends_the_bake(tmp_path: Path) -> None:
    world = canary(tmp_path, bake=timedelta(minutes=10))
    run(world, tmp_path)
    world.approve("3")
    run(world, tmp_path)
    assert world.aliases == {"champion": "3"}
    assert world.stages == {"1": "Archived", "2": "Production", "3": "Production"}


def test_a_step_that_waits_for_people_is_taken_when_they_say_so(tmp_path: Path) -> None:
    world = canary(tmp_path, manual=(50, 100))
    progress = run(world, tmp_path, ticks=30)
    assert progress is not None
    assert "The step to 50 % waits for people" in progress.reason
    assert world.routed is not None
    assert world.routed.percent == 10
    say(world, EventKind.ROLLOUT_ALLOWED)
    progress = run(world, tmp_path, ticks=30)
    assert progress is not None
    assert "The step to all of the traffic waits for people" in progress.reason
    assert world.routed.percent == 50
    say(world, EventKind.ROLLOUT_ALLOWED)
    run(world, tmp_path)
    assert world.aliases == {"champion": "2"}


def test_a_paused_rollout_stays_where_it_is_until_it_is_resumed(tmp_path: Path) -> None:
    world = canary(tmp_path)
    run(world, tmp_path, ticks=7, requests=20)
    say(world, EventKind.ROLLOUT_PAUSED, "the incident of this morning")
    world.now += timedelta(days=2)
    progress = run(world, tmp_path)
    assert progress is not None
    assert progress.settled
    assert "Paused by grace: the incident of this morning" in progress.reason
    assert world.routed is not None
    assert world.routed.percent == 10
    say(world, EventKind.ROLLOUT_RESUMED)
    run(world, tmp_path, seconds=60)  # looks are rare by now
    assert world.aliases == {"champion": "2"}


def test_a_pause_keeps_no_bad_version_in_traffic(tmp_path: Path) -> None:
    world = canary(tmp_path)
    run(world, tmp_path, ticks=7, requests=20)
    say(world, EventKind.ROLLOUT_PAUSED)
    run(world, tmp_path, errors=50)
    assert (
        histories(world.events)[FLIGHTS].rollouts[-1].cause is not Cause.VERDICT
    )  # it waits: nobody looks at a settled one
    one = controller(world, tmp_path)
    for _ in range(40):
        world.now += timedelta(seconds=1)
        one.tick()
        world.traffic(1000, 50)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.VERDICT


def test_people_let_a_rollout_go_on_that_ran_out_of_time(tmp_path: Path) -> None:
    world = canary(tmp_path, max_minutes=30)
    run(world, tmp_path, ticks=10, requests=0)
    world.now += timedelta(minutes=31)
    run(world, tmp_path, requests=0)
    assert phase(world) is Phase.HELD
    say(world, EventKind.ROLLOUT_ALLOWED, "it is Sunday, and nobody flies")
    run(world, tmp_path, ticks=5, requests=0)
    assert (phase(world), world.routed and world.routed.percent) == (Phase.CANARY, 50)


def test_a_step_keeps_its_least_time(tmp_path: Path) -> None:
    world = canary(tmp_path, pause=timedelta(minutes=5))
    progress = run(world, tmp_path, ticks=60)
    assert progress is not None
    assert (progress.percent, "may come in" in progress.reason) == (10, True)
    world.now += timedelta(minutes=5)
    assert (run(world, tmp_path, ticks=5) or progress).percent == 50


@pytest.mark.parametrize(("days", "goes_on"), [(("thursday",), True), (("friday",), False)])
def test_steps_are_taken_in_their_windows_only(tmp_path: Path, days: tuple[Any, ...], *, goes_on: bool) -> None:
    world = canary(tmp_path, windows=(Window(days=days),))  # the first of January 2026 is a Thursday
    progress: Progress | None = run(world, tmp_path)
    assert progress is not None
    assert (progress.champion == "2") is goes_on
    assert goes_on or "waits for its time: on friday" in progress.reason


def test_a_hook_that_objects_makes_a_step_wait_and_a_way_back_is_never_asked_about(tmp_path: Path) -> None:
    world = canary(tmp_path)
    asked: list[Step] = []

    def no(step: Step) -> str | None:
        asked.append(step)
        return "the shop is on sale." if step.to_percent == 50 else None

    one = replace(controller(world, tmp_path), hooks=Hooks({"sale": no}))
    for _ in range(30):
        world.now += timedelta(seconds=1)
        (progress,) = one.tick()
        world.traffic(1000)
    assert progress.reason == "Hook 'sale' lets the step to 50 % wait: the shop is on sale."
    assert [(step.percent, step.to_percent) for step in asked[:2]] == [(0, 10), (10, 50)]
    for _ in range(30):
        world.now += timedelta(seconds=1)
        one.tick()
        world.traffic(1000, 50)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.VERDICT


def test_hooks_that_fail_or_do_not_answer_object() -> None:
    served = step_to_ten()

    def raises(step: Step) -> str | None:
        raise ValueError(step.rollout)

    def sleeps(step: Step) -> str | None:
        waiting.wait()
        return None

    waiting = threading.Event()
    assert Hooks({"bad": raises}).objection(served) == "Hook 'bad' lets the step to 10 % wait: it failed: ValueError: r"
    late = Hooks({"slow": sleeps}, seconds=0.05).objection(served)
    waiting.set()
    assert late == "Hook 'slow' lets the step to 10 % wait: it has not answered within 0.05 seconds."


def test_a_hook_that_hangs_is_not_asked_again_until_it_has_answered() -> None:
    waiting, asked = threading.Event(), list[str]()

    def sleeps(step: Step) -> str | None:
        asked.append(step.rollout)
        waiting.wait()
        return None

    hooks = Hooks({"slow": sleeps}, seconds=0.05)
    said = [hooks.objection(step_to_ten()) for _ in range(3)]
    assert len(asked) == 1
    still = "it has still not answered what it was asked before."
    assert said[1:] == [f"Hook 'slow' lets the step to 10 % wait: {still}"] * 2
    waiting.set()
    for thread in threading.enumerate():
        if thread.name == "rollout-hook":
            thread.join(5)
    assert hooks.objection(step_to_ten()) is None
    assert len(asked) == 2


def test_a_hook_that_cannot_be_loaded_objects_and_stops_no_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("gone", "no_such_module:no_such_hook", GROUP)
    monkeypatch.setattr("deploy.hooks.entry_points", lambda group: [entry] if group == GROUP else [])
    said = installed().objection(step_to_ten())
    assert said is not None
    assert said.startswith("Hook 'gone' lets the step to 10 % wait: it failed: ModuleNotFoundError: ")


def test_no_hook_is_asked_when_people_go_back(tmp_path: Path) -> None:
    world = rolled_back(World(), tmp_path)
    one = replace(controller(world, tmp_path), hooks=Hooks({"never": lambda _: "not today."}))
    for _ in range(30):
        world.now += timedelta(seconds=1)
        one.tick()
    assert world.aliases == {"champion": "1"}


def step_to_ten() -> Step:
    return Step("r", Served(FLIGHTS, "2", "d2"), Served(FLIGHTS, "1", "d1"), 0, 10, "It answers.")


def test_a_rollout_that_was_under_way_when_plans_came_goes_on_by_its_counters(tmp_path: Path) -> None:
    world = canary(tmp_path)
    run(world, tmp_path, ticks=6, requests=20)
    assert phase(world) is Phase.CANARY
    for file in tmp_path.iterdir():
        file.unlink()
    old = replace(world, events=[])
    for event in world.events:
        body = dict(event.body)
        if body.pop("plan", None) is not None:
            body |= {"steps": [10, 50], "margin": 0.01, "alpha": 0.05, "max_minutes": 30}
        if body.get("counters"):
            body["counters"] = dict.fromkeys(
                ("canary_requests", "canary_errors", "baseline_requests", "baseline_errors"), 0
            )
        old.append(event.kind, event.subject, event.actor, body)
    progress = run(old, tmp_path)
    assert progress is not None
    assert progress.champion == "2"


def test_a_pause_of_before_it_took_over_does_not_make_what_is_unconfirmed_settled(tmp_path: Path) -> None:
    world = canary(tmp_path)
    one = controller(world, tmp_path)
    while phase(world) is not Phase.PROMOTING:
        world.now += timedelta(seconds=1)
        one.tick()
        world.traffic(1000)
    say(world, EventKind.ROLLOUT_PAUSED)
    (progress,) = one.tick()
    assert (progress.percent, progress.settled) == (100, False)


@pytest.mark.parametrize("newer", [True, False])
def test_a_first_version_that_never_takes_over_gives_way_to_what_people_decide(tmp_path: Path, newer: bool) -> None:
    class Deaf(SimulatedTarget):
        def route(self, shares: Sequence[Share]) -> set[str]:
            return super().route([share for share in shares if share.champion.version != "1"])

    world = World(spec=spec())
    world.approve("1")
    one = replace(controller(world, tmp_path), target=Deaf(world))
    for number in range(20):
        world.now += timedelta(seconds=1)
        one.tick()
        if number == 10:
            assert phase(world) is Phase.PROMOTING
            world.archive("1", "grace")
            if newer:
                world.approve("2")
    assert world.aliases == ({"champion": "2"} if newer else {})
    assert phase(world) is (Phase.DONE if newer else Phase.ROLLED_BACK)


def test_a_share_gives_out_all_of_the_traffic_and_names_each_version_once() -> None:
    one, two, three = (Served(FLIGHTS, version, f"d{version}") for version in "123")
    share = Share(one, (Challenger(two, 30), Challenger(three, 20)))
    assert (share.percent, share.percent_of_champion) == (50, 50)
    assert share.arms == {"champion": one, "challenger": two, "challenger-2": three}
    with pytest.raises(ValueError, match="gives out more than 100 %"):
        Share(one, (Challenger(two, 101),))
    with pytest.raises(ValueError, match="names a version twice"):
        Share(one, (Challenger(one, 10),))
