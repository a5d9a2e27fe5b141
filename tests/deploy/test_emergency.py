"""Without Postgres: back to the champion from the local journal, and nothing else."""

from datetime import timedelta
from pathlib import Path

from deploy.emergency import Emergency
from deploy.journal import Entry, Journal
from deploy.rollout import Phase, histories
from deploy.shares import Share
from flywheel.errors import TransientError
from flywheel.rollbacks import Cause
from tests.deploy.simulated import FLIGHTS, SimulatedRegistry, SimulatedTarget, World, controller, live, run


def canary(folder: Path) -> World:
    """Return a world in which version 2 has 10 % and was looked at a few times."""
    world = live(World(), folder)
    world.approve("2")
    run(world, folder, ticks=8, requests=20)
    return world


def without_postgres(world: World, folder: Path, *, errors: int, ticks: int = 30) -> list[str]:
    one = Emergency(Journal(folder), SimulatedTarget(world), lambda: world.now)
    said: list[str] = []
    for _ in range(ticks):
        world.now += timedelta(seconds=1)
        said += one.tick()
        world.traffic(1000, errors)
    return said


def test_a_bad_version_is_sent_back_and_the_next_tick_records_why(tmp_path: Path) -> None:
    world = canary(tmp_path)
    events = list(world.events)
    said = without_postgres(world, tmp_path, errors=50)
    old = histories(events)[FLIGHTS].champion
    assert old is not None
    assert said[0].startswith(f"{FLIGHTS}: traffic goes back to version 1. errors: ")
    assert world.routed == Share(old)
    assert world.events == events
    run(world, tmp_path, requests=0)
    rollout = histories(world.events)[FLIGHTS].rollouts[-1]
    assert (rollout.phase, rollout.cause) == (Phase.ROLLED_BACK, Cause.VERDICT)
    assert world.aliases == {"champion": "1"}
    assert Share(old) == world.routed
    assert [share.percent for share in world.shares] == [0, 10, 0]  # it never had traffic again
    assert list(tmp_path.iterdir()) == []


def test_a_good_version_stays_where_it_is(tmp_path: Path) -> None:
    world = canary(tmp_path)
    assert without_postgres(world, tmp_path, errors=0) == []
    assert world.routed is not None
    assert world.routed.percent == 10
    run(world, tmp_path)
    assert world.aliases == {"champion": "2"}


def test_a_bad_version_that_alone_answers_is_kept(tmp_path: Path) -> None:
    world = canary(tmp_path)
    world.dead.add("1")
    assert without_postgres(world, tmp_path, errors=50) == []
    assert world.routed is not None
    assert world.routed.percent == 10


def test_while_the_registry_is_silent_harm_is_ended_and_nothing_else_is_done(tmp_path: Path) -> None:
    world = canary(tmp_path)

    class Silent(SimulatedRegistry):
        def stages(self, usecase: str, versions: object) -> dict[str, str]:
            raise TransientError("MLflow does not answer.")

    one = controller(world, tmp_path)
    one.registry = Silent(world)
    for errors in (0, 50):
        for _ in range(20):
            world.now += timedelta(seconds=1)
            try:
                one.tick()
            except TransientError:
                world.traffic(1000, errors)
        assert world.routed is not None
        assert world.routed.percent == (0 if errors else 10)
    assert histories(world.events)[FLIGHTS].rollouts[-1].phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}


def test_a_torn_line_of_the_journal_was_never_taken_in(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first, second, third = (Entry(0, {"step": 10, "metrics": {"n": number}}, {}) for number in range(3))
    journal.append("r", first)
    journal.append("r", second)
    file = tmp_path / "r.jsonl"
    file.write_bytes(file.read_bytes()[:-7])
    assert journal.read("r") == [first]
    journal.append("r", third)
    assert journal.read("r") == [first, third]
