"""Without Postgres: back to the champion from the local journal, and nothing else."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.desired import Served
from deploy.loop.controller import Controller
from deploy.loop.emergency import Emergency
from deploy.loop.fold import histories
from deploy.loop.interfaces import Condition
from deploy.loop.journal import Entry, Journal
from deploy.loop.looking import Looking
from deploy.loop.rollout import Phase
from deploy.loop.vigil import Vigils
from deploy.shares import Share
from flywheel.errors import FlywheelError, SpecError, TransientError
from flywheel.events import EventKind
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Shadow
from tests.deploy.simulated import (
    FLIGHTS,
    SPEC,
    Crash,
    SimulatedRegistry,
    SimulatedTarget,
    World,
    controller,
    live,
    run,
)


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


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_step_that_nobody_has_looked_at_yet_is_guarded(tmp_path: Path, step: int) -> None:
    world = live(World(spec=SPEC.model_copy(update={"shadow": Shadow(requests=1)})), tmp_path)
    world.approve("2")
    one, away = controller(world, tmp_path), Emergency(Journal(tmp_path), SimulatedTarget(world), lambda: world.now)
    confirmed = list[int]()
    while step not in confirmed:
        world.now += timedelta(seconds=1)
        one.tick()
        assert away.tick() == []  # it was away before: what was known then is old
        world.traffic(1000)
        done = (event for event in world.events if event.body.get("state") == "done")
        confirmed = [event.body["step"] for event in done if event.kind == EventKind.ROLLOUT_STEP]
    name = histories(world.events)[FLIGHTS].rollouts[-1].name
    assert all(entry.step < step for entry in Journal(tmp_path).read(name))
    world.now += timedelta(seconds=1)
    world.traffic(1000, 50)
    assert away.tick()[0].startswith(f"{FLIGHTS}: traffic goes back to version 1.")
    assert [share.percent for share in world.shares] == [*[0, 0, 10, 50][: step + 2], 0]


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


def test_when_the_champion_dies_after_traffic_was_sent_back_the_other_version_answers_again(tmp_path: Path) -> None:
    world = canary(tmp_path)
    without_postgres(world, tmp_path, errors=50)
    world.dead.add("1")
    run(world, tmp_path, ticks=10, requests=0)
    assert histories(world.events)[FLIGHTS].rollouts[-1].phase is Phase.HELD
    assert world.routed is not None
    assert world.routed.percent == 10
    world.dead.clear()
    run(world, tmp_path, requests=0)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.VERDICT
    assert world.routed.percent == 0


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


def test_a_silent_registry_is_waited_for_once_a_tick(tmp_path: Path) -> None:
    world, asked = canary(tmp_path), list[str]()
    body = {"model": "rain", "version": "1", "to": "Production", "digest": "sha256:1"}
    world.append(EventKind.TRANSITION, "rain/1", "grace", body)

    class Silent(SimulatedRegistry):
        def stages(self, usecase: str, versions: object) -> dict[str, str]:
            asked.append(usecase)
            raise TransientError("MLflow does not answer.")

    one = replace(controller(world, tmp_path), registry=Silent(world))
    for _ in range(2):
        with pytest.raises(TransientError, match="MLflow does not answer"):
            one.tick()
    assert asked == [FLIGHTS, FLIGHTS]


def harm(world: World, one: Controller, ticks: int = 40) -> None:
    """Let a controller whose ticks may fail see that the new version fails."""
    for _ in range(ticks):
        world.now += timedelta(seconds=10)
        with suppress(FlywheelError):
            one.tick()
        world.traffic(1000, 50, champion_errors=100 if world.routed and world.routed.challenger is None else 0)


@pytest.mark.parametrize(
    "fault", [SpecError("serving.yaml is wrong."), TransientError("The registry does not answer.")]
)
@pytest.mark.parametrize("version", ["1", "2"])
def test_while_nothing_is_known_of_a_version_harm_is_ended_and_nothing_else_is_done(
    tmp_path: Path, fault: FlywheelError, version: str
) -> None:
    world = canary(tmp_path)

    class Unknown(SimulatedTarget):
        def ensure(self, served: Served) -> Condition:
            if served.version == version:
                raise fault
            return super().ensure(served)

    one = replace(controller(world, tmp_path), target=Unknown(world))
    harm(world, one)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.VERDICT
    assert world.routed is not None
    assert world.routed.percent == 0


def test_what_turns_bad_while_it_bakes_goes_back_though_the_registry_is_silent(tmp_path: Path) -> None:
    world = live(World(spec=SPEC.model_copy(update={"bake": timedelta(hours=10)})), tmp_path)
    world.approve("2")
    run(world, tmp_path, requests=20_000)

    class Silent(SimulatedRegistry):
        def stages(self, usecase: str, versions: object) -> dict[str, str]:
            raise TransientError("MLflow does not answer.")

    one = replace(controller(world, tmp_path), registry=Silent(world), vigils=Vigils(tmp_path / "vigils"))
    harm(world, one)
    assert histories(world.events)[FLIGHTS].rollouts[-1].phase is Phase.ROLLING_BACK
    assert world.routed is not None
    assert world.routed.champion.version == "1"


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


def test_a_rollout_whose_controller_died_before_it_forgot_it_sends_nothing_back_later(tmp_path: Path) -> None:
    world = canary(tmp_path)

    class Dying(Journal):
        def drop(self, rollout: str) -> None:
            raise Crash

    one = replace(controller(world, tmp_path), journal=Dying(tmp_path))
    with pytest.raises(Crash):
        harm(world, one)
    world.spec = SPEC.model_copy(update={"bake": timedelta(hours=10)})
    world.approve("3")
    run(world, tmp_path)
    assert world.routed is not None
    assert world.routed.champion.version == "3"
    assert without_postgres(world, tmp_path, errors=0) == []
    assert world.routed.champion.version == "3"


def test_a_rollout_that_was_under_way_when_its_use_case_went_out_of_service_leaves_no_looks(tmp_path: Path) -> None:
    world = canary(tmp_path)
    assert list(tmp_path.iterdir()) != []
    world.append(EventKind.ROLLOUT_UNDEPLOYED, FLIGHTS, "svc-controller", {"reason": "x", "versions": []})
    controller(world, tmp_path).tick()
    assert list(tmp_path.iterdir()) == []


def test_what_was_sent_back_while_it_took_over_does_not_take_over(tmp_path: Path) -> None:
    world = canary(tmp_path)
    one = controller(world, tmp_path)
    while histories(world.events)[FLIGHTS].rollouts[-1].phase is not Phase.PROMOTING:
        world.now += timedelta(seconds=1)
        one.tick()
        world.traffic(1000)
    Journal(tmp_path).send_back(histories(world.events)[FLIGHTS].rollouts[-1].name, "errors: it fails.")
    run(world, tmp_path, requests=0)
    rollout = histories(world.events)[FLIGHTS].rollouts[-1]
    assert (rollout.phase, rollout.cause, rollout.reason) == (Phase.ROLLED_BACK, Cause.VERDICT, "errors: it fails.")
    assert world.aliases == {"champion": "1"}
    assert [share.champion.version for share in world.shares if share.challenger is None] == ["1", "1"]


def test_the_looks_of_a_long_rollout_are_read_once_while_postgres_is_away(tmp_path: Path) -> None:
    world = canary(tmp_path)
    read: list[str] = []

    class Counting(Journal):
        def read(self, rollout: str) -> list[Entry]:
            read.append(rollout)
            return super().read(rollout)

    one = Emergency(Counting(tmp_path), SimulatedTarget(world), lambda: world.now)
    said = list[str]()
    for _ in range(30):
        world.now += timedelta(seconds=1)
        said += one.tick()
        world.traffic(1000, 50)
    assert said[0].startswith(f"{FLIGHTS}: traffic goes back to version 1. errors: ")
    assert len(read) <= 3


def test_only_the_last_look_keeps_its_counters_in_memory_and_a_restart_goes_on_by_them(tmp_path: Path) -> None:
    world = canary(tmp_path)
    rollout = histories(world.events)[FLIGHTS].rollouts[-1]
    looking = Looking.resumed(rollout, Journal(tmp_path))
    assert len(looking.entries) > 1
    assert [bool(entry.counters) for entry in looking.entries] == [False] * (len(looking.entries) - 1) + [True]
    assert [dict(entry.look) for entry in looking.entries] == [
        dict(one.look) for one in Journal(tmp_path).read(rollout.name)
    ]
