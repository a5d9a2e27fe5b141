"""How rollouts ended, and what came after: who ended them, what replaced what took over. In a world and in Postgres."""

from pathlib import Path

from deploy.loop.experiment_looks import ExperimentLooks
from deploy.loop.experimenting import stop
from deploy.loop.eyes import Eyes
from deploy.loop.journal import Journal
from flywheel.events import EventKind
from flywheel.rollout_spec import Rollout as Way
from flywheel.settings import Settings
from registry.rollouts import trail
from registry.rollouts.record import Phase, records
from registry.rollouts.standing import title
from registry.rollouts.turns import turns
from tests.deploy.simulated import FLIGHTS, PLAIN, SimulatedLedger, SimulatedTarget, World, live, prepared, run
from tests.registry.own_database import own_database
from tests.registry.rollouts.test_trail import written


def test_of_what_took_over_the_last_is_live_and_all_others_say_what_replaced_them(
    stack: Settings, tmp_path: Path
) -> None:
    world = World(spec=Way(steps=(10,), max_minutes=30, **PLAIN))
    for version in ("1", "2", "3"):
        world.approve(version)
        run(world, tmp_path)
    world.approve("4")
    run(world, tmp_path, errors=400)
    world.roll_back("2")
    run(world, tmp_path)
    found = records(world.events)
    titles = ["Replaced by version 2", "Replaced by version 3", "Replaced by version 2", "Rolled back", "Live"]
    assert [title(one)[0] for one in found] == titles
    assert ([title(one)[1] for one in found]) == ["", "", "", "bad", "good"]
    with own_database(stack) as engine, engine.begin() as connection:
        for one in world.events:
            written(connection, one)
        assert [title(one)[0] for one in trail.newest(connection, FLIGHTS)] == titles
        assert [trail.replaced(connection, one) for one in found] == ["2", "3", "2", None, None]


def test_an_experiment_that_people_stopped_says_so_and_one_that_nobody_won_does_not(
    stack: Settings, tmp_path: Path
) -> None:
    stopped = experiment(tmp_path / "stopped", {}, ticks=20)
    looks = ExperimentLooks(stopped.look, Journal(tmp_path / "stopped"), lambda: stopped.now)
    eyes = Eyes(SimulatedTarget(stopped), Journal(tmp_path / "stopped"), lambda: stopped.now, experiments=looks)
    stop(SimulatedLedger(stopped), eyes, FLIGHTS, "The campaign is over.")
    run(stopped, tmp_path / "stopped")
    lost = experiment(tmp_path / "lost", {"1": 0.2}, ticks=200)
    for world, words in ((stopped, "Stopped by people"), (lost, "Ended without a winner")):
        last = records(world.events)[-1]
        assert (last.phase, title(last)) == (Phase.ROLLED_BACK, (words, ""))
        with own_database(stack) as engine, engine.begin() as connection:
            for one in world.events:
                written(connection, one)
            listed, page = trail.newest(connection, FLIGHTS)[-1], trail.one(connection, FLIGHTS, last.name)
            assert page is not None
            assert title(listed) == title(page) == (words, "")


def test_the_withdrawal_that_ended_a_rollout_is_the_one_before_its_end_and_of_its_version(
    stack: Settings, tmp_path: Path
) -> None:
    world = World(spec=Way(steps=(10, 50), max_minutes=30, **PLAIN))
    for version in ("1", "2"):
        world.approve(version)
        run(world, tmp_path, ticks=20, requests=10)
    world.archive("2", "grace")
    run(world, tmp_path, ticks=20, requests=10)
    world.append(EventKind.TRANSITION, f"{FLIGHTS}/2", "alan", {"to": "Staging", "version": "2"})
    with own_database(stack) as engine, engine.begin() as connection:
        for one in world.events:
            written(connection, one)
        first, second = trail.newest(connection, FLIGHTS)
        page = trail.one(connection, FLIGHTS, second.name)
        assert page is not None
        for found in (second, page):
            assert found.withdrawn is not None
            assert (found.withdrawn.actor, found.withdrawn.body["to"]) == ("grace", "Archived")
        assert first.withdrawn is None
        told = [one.who for one in turns(page)]
        assert told.index("grace") == len(told) - 2


def experiment(folder: Path, rates: dict[str, float], ticks: int) -> World:
    """An experiment with two versions that has gone on for a while."""
    world = live(World(rates=rates), folder)
    for version in ("2", "3"):
        world.approve(version)
    prepared(world).record(SimulatedLedger(world))
    run(world, folder, ticks=ticks, seconds=30)
    return world
