"""What a rollout is said to wait for, against what the controller itself says at the same moment."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from deploy.loop.fold import histories
from flywheel.events import EventKind
from flywheel.rollout_spec import Rollout as Way
from flywheel.rollout_spec import Window
from registry.rollouts.record import Phase, records
from registry.rollouts.view import build
from registry.rollouts.waiting import waits_for
from tests.deploy.simulated import FLIGHTS, PLAIN, START, World, controller

PAUSED = EventKind.ROLLOUT_PAUSED
NIGHT = Window(days=("thursday",), hours=("00:10", "06:00"), time_zone="UTC")  # when the world begins


def said(world: World, folder: Path, ticks: int = 60, requests: int = 4000) -> Iterator[tuple[str, str]]:
    """Let time pass; yield at each tick what the controller and the record say."""
    for _ in range(ticks):
        world.now += timedelta(seconds=1)
        (one,) = controller(world, folder).tick()
        world.traffic(requests)
        yield one.reason, waits_for(records(world.events)[-1], world.now)


def begun(folder: Path, **way: object) -> World:
    """A first version that is live, and a second one that was approved."""
    world = World(spec=Way(**{"steps": (10, 50), "max_minutes": 30, **PLAIN, **way}))
    world.approve("1")
    for _ in said(world, folder, 8):
        pass
    world.approve("2")
    return world


def speak(world: World, kind: EventKind, because: str) -> None:
    current = histories(world.events)[FLIGHTS].current
    assert current is not None
    body = {"rollout": current.name, "version": current.new.version, "reason": because}
    world.append(kind, current.new.subject, "olga", body)


def test_a_manual_step_is_said_with_the_command_that_the_controller_names(tmp_path: Path) -> None:
    world = begun(tmp_path, manual=(50,))
    found = list(said(world, tmp_path))
    waiting = [mine for theirs, mine in found if "waits for people" in theirs]
    assert len(waiting) > 10
    command = f"`flywheel promote {FLIGHTS}`"
    assert all(command in mine and "The step to 50 %" in mine for mine in waiting)
    speak(world, EventKind.ROLLOUT_ALLOWED, "support has heard nothing")
    assert waits_for(records(world.events)[-1], world.now) == "The step to 50 % comes next: people let it go on."
    assert command not in [mine for _, mine in said(world, tmp_path, 4)][-1]


def test_a_pause_between_steps_is_said_with_what_is_left_of_it(tmp_path: Path) -> None:
    found = list(said(begun(tmp_path, pause=timedelta(seconds=40)), tmp_path, 50))
    waiting = [mine for theirs, mine in found if "may come in" in theirs]
    assert len(waiting) > 10
    assert all("may come in" in mine and "not before" in mine for mine in waiting)
    assert not any("may come in" in mine for theirs, mine in found if "is starting" in theirs)


def test_a_window_is_said_as_the_controller_says_it(tmp_path: Path) -> None:
    world = begun(tmp_path, windows=(NIGHT,))
    found = list(said(world, tmp_path, 20))
    assert any("waits for its time" in theirs for theirs, _ in found)
    assert all(NIGHT.told() in mine for theirs, mine in found if "waits for its time" in theirs)
    world.now = START + timedelta(hours=1)
    assert not any(NIGHT.told() in mine for _, mine in said(world, tmp_path, 5))


def test_a_pause_of_peoples_and_a_hold_are_said_in_the_controllers_words(tmp_path: Path) -> None:
    world = begun(tmp_path, max_minutes=0.5)
    for _ in said(world, tmp_path, 5, requests=0):
        pass
    speak(world, PAUSED, "the airport is closed")
    for theirs, mine in said(world, tmp_path, 3, requests=0):
        assert "Paused by olga: the airport is closed." in theirs
        assert mine == f"Paused by olga: the airport is closed. `flywheel resume {FLIGHTS}` lets it go on."
    speak(world, EventKind.ROLLOUT_RESUMED, "it is open again")
    theirs, mine = list(said(world, tmp_path, 40, requests=0))[-1]
    assert records(world.events)[-1].phase is Phase.HELD
    assert mine == theirs
    assert "`flywheel promote` lets it go on" in mine


def test_what_bakes_says_for_how_long_and_what_is_over_waits_for_nothing(tmp_path: Path) -> None:
    world = begun(tmp_path, bake=timedelta(seconds=20))
    found = [(theirs, mine) for theirs, mine in said(world, tmp_path, 90) if "stays warm" in theirs]
    assert len(found) > 10
    assert all(mine.startswith("Version 1 stays warm for another") for _, mine in found)
    assert waits_for(records(world.events)[-1], world.now) == ""


def test_what_stands_on_record_names_its_step_while_the_looks_of_the_present_one_do_not(tmp_path: Path) -> None:
    world = begun(tmp_path, manual=(50, 100))
    for _ in said(world, tmp_path, 40):
        pass
    record = records(world.events)[-1]
    view = build(record, world.now)
    (errors,) = view.metrics
    assert (record.percent, errors.state, view.judged) == (10, ("not on record yet", ""), "")
    assert "until then `flywheel status` shows them" in errors.sentence
    speak(world, EventKind.ROLLOUT_ALLOWED, "go on")
    for _ in said(world, tmp_path, 20):
        pass
    record = records(world.events)[-1]
    view = build(record, world.now)
    (errors,) = view.metrics
    assert (record.percent, errors.state, view.judged) == (50, ("gate open at 10 %", "good"), "10 %")
    assert view.waits.startswith("The step to all of the traffic waits for the evidence")
    assert view.waits != record.reason
