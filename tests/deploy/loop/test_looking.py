"""Looks at a rollout: what was counted since the last one, and when the next one is due."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.desired import Served
from deploy.loop.emergency import Emergency
from deploy.loop.fold import histories
from deploy.loop.journal import Journal
from deploy.loop.looking import Looking, difference, pause, read_counters, written
from deploy.loop.plans import References, make_plan
from deploy.loop.rollout import Phase, Rollout
from deploy.shares import ArmCounts
from flywheel.events import EventKind
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec
from flywheel.stack.gateway_stats import thresholds_ms
from tests.deploy.simulated import FLIGHTS, SPEC, START, SimulatedTarget, World, controller, live, run

ARMS = ("champion", "challenger", "challenger-2")
BOUND = 0.1


@dataclass
class Gateway:
    """Counts requests, errors and slow ones of each arm, and forgets them when it is started anew."""

    life: int = 0
    counters: dict[str, list[int]] = field(default_factory=lambda: {arm: [0, 0, 0] for arm in ARMS})
    unseen: dict[str, list[int]] = field(default_factory=lambda: {arm: [0, 0, 0] for arm in ARMS})

    def serve(self, arm: str, counts: tuple[int, int, int]) -> None:
        for kept in (self.counters[arm], self.unseen[arm]):
            kept[:] = [before + more for before, more in zip(kept, counts, strict=True)]

    def start_anew(self) -> None:
        self.life += 1
        for kept in (*self.counters.values(), *self.unseen.values()):
            kept[:] = [0, 0, 0]

    def counts(self) -> dict[str, ArmCounts]:
        return {arm: counted(one, f"life {self.life}") for arm, one in self.counters.items()}


def counted(one: list[int], life: str = "") -> ArmCounts:
    requests, errors, slow = one
    return ArmCounts(requests, errors, {BOUND: slow}, life)


requests = st.integers(0, 300).flatmap(
    lambda many: st.tuples(st.just(many), st.integers(0, many), st.integers(0, many))
)
served = st.tuples(st.sampled_from(ARMS), requests)


@given(st.lists(st.one_of(served, st.sampled_from(["look", "start anew"])), max_size=60))
def test_a_look_holds_what_each_arm_was_counted_for_since_the_last_one_or_since_the_gateway_began(
    happened: list[str | tuple[str, tuple[int, int, int]]],
) -> None:
    gateway, before = Gateway(), dict[str, ArmCounts]()
    for one in [*happened, "look"]:
        if one == "start anew":
            gateway.start_anew()
        elif isinstance(one, tuple):
            gateway.serve(*one)
        else:
            now = gateway.counts()
            expected = {arm: counted(unseen) for arm, unseen in gateway.unseen.items()}
            assert difference(now, before) == expected
            before = read_counters(json.loads(json.dumps({arm: written(found) for arm, found in now.items()})))
            for unseen in gateway.unseen.values():
                unseen[:] = [0, 0, 0]


def test_an_arm_that_went_back_alone_began_anew_and_the_others_go_on() -> None:
    before = {"champion": ArmCounts(900, 9, epoch="a"), "challenger": ArmCounts(100, 5, epoch="a")}
    now = {"champion": ArmCounts(1000, 10, epoch="a"), "challenger": ArmCounts(10, 1, epoch="a")}
    assert difference(now, before) == {"champion": ArmCounts(100, 1), "challenger": ArmCounts(10, 1)}


def test_counters_that_an_earlier_release_recorded_go_on() -> None:
    told = {"champion": {"requests": 900, "errors": 9, "slow": {}}}
    assert difference({"champion": ArmCounts(1000, 10, epoch="a")}, read_counters(told)) == {
        "champion": ArmCounts(100, 1)
    }


def test_pauses_between_looks_grow_with_the_age_of_a_step_and_stay_below_five_minutes() -> None:
    ages = range(200_000)
    found = [pause(age) for age in ages]
    assert all(earlier <= later for earlier, later in pairwise(found))
    assert all(one <= max(0.01 * age, 1) for age, one in zip(ages, found, strict=True))
    assert max(found[:3600]) == 10
    assert (found[3600], found[36_000], found[-1]) == (18, 180, 300)


BOUNDS = [one / 1000 for one in thresholds_ms()]
PLAN = make_plan(
    RolloutSpec(shadow=None, steps=(25,)),
    0.05,
    References(latency=(0.1, 0.26), metrics={"prediction_shift": {"kind": "shift", "bins": 10}}),
)
WAITING = Rollout(
    f"{FLIGHTS}-v2-00000000-1",
    Served(FLIGHTS, "2", "sha256:2"),
    Served(FLIGHTS, "1", "sha256:1"),
    PLAN,
    Phase.HELD,
    START,
    START,
    START,
    step=0,
)


@dataclass
class Alike:
    """A gateway, and a prediction log, that count the same of both versions at ten requests a second."""

    now: datetime = START
    told: datetime = START

    def counts(self) -> dict[str, ArmCounts]:
        seconds = int((self.now - START).total_seconds())
        slow = {bound: int(seconds * 0.5 / (1 + place)) for place, bound in enumerate(BOUNDS)}
        new = {bound: count // 3 for bound, count in slow.items()}
        return {
            "champion": ArmCounts(seconds * 7, seconds // 100, slow, "a life"),
            "challenger": ArmCounts(seconds * 3, seconds // 300, new, "a life"),
        }

    def since(self, cursor: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
        seconds = int((self.now - self.told).total_seconds())
        self.told = self.now
        bins = {"canary": [seconds] * 10, "baseline": [3 * seconds] * 10}
        held = [float(number) for number in range(100)]
        return {"prediction_shift": bins}, {"appends": {"predictions": seconds}, "held": held}


def test_a_day_of_waiting_leaves_less_than_a_megabyte_and_a_restart_goes_on_by_it(tmp_path: Path) -> None:
    journal, alike, sizes = Journal(tmp_path, lambda _: None), Alike(), list[int]()
    looking = Looking.resumed(WAITING, journal)
    for _ in range(86_400):
        alike.now += timedelta(seconds=1)
        looking.look(WAITING, alike.now, alike.counts, alike)
        sizes.append(looking.size)
    assert max(sizes) < 1_000_000
    assert len(looking.entries) < 1500
    again = Looking.resumed(WAITING, Journal(tmp_path))
    assert again.verdict(0) == looking.verdict(0)
    assert (again.taken, again.entries[-1]) == (looking.taken, looking.entries[-1])
    assert sum(one["metrics"]["errors"]["canary"]["requests"] for one in again.documents(0)) == (
        alike.counts()["challenger"].requests - 3 * int((alike.now - alike.told).total_seconds())
    )


def test_a_journal_that_cannot_be_thinned_goes_on_as_it_is(tmp_path: Path) -> None:
    class Full(Journal):
        def replace(self, rollout: str, entries: Any) -> None:
            (tmp_path / f"{rollout}.jsonl.new").mkdir(exist_ok=True)
            super().replace(rollout, entries)

    journal, alike = Full(tmp_path), Alike()
    looking = Looking.resumed(WAITING, journal)
    for _ in range(100):
        alike.now += timedelta(minutes=5)
        looking.look(WAITING, alike.now, alike.counts, alike)
    assert not looking.is_stale
    assert len(journal.read(WAITING.name)) == len(looking.entries) == 100


@pytest.mark.parametrize("said", [None, EventKind.ROLLOUT_PAUSED])
def test_what_waits_for_people_for_days_is_guarded_still(tmp_path: Path, said: EventKind | None) -> None:
    world = live(World(spec=SPEC.model_copy(update={"manual": (50,)})), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=20)
    if said is not None:
        name = histories(world.events)[FLIGHTS].rollouts[-1].name
        world.append(said, f"{FLIGHTS}/2", "grace", {"rollout": name, "reason": "because"})
    one = controller(world, tmp_path)
    for errors, minutes in ((0, 48 * 60), (50, 11)):
        for _ in range(minutes):
            world.now += timedelta(minutes=1)
            one.tick()
            world.traffic(200, errors)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.VERDICT
    assert world.stages["2"] == "Archived"


def test_without_postgres_looks_are_as_rare_as_with_it(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.now += timedelta(days=1)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=20)
    [rollout] = histories(world.events)[FLIGHTS].rollouts[1:]
    emergency = Emergency(Journal(tmp_path), SimulatedTarget(world), lambda: world.now)
    for _ in range(3 * 3600):
        world.now += timedelta(seconds=1)
        world.traffic(20)
        emergency.tick()
    taken = [one.seconds for one in Journal(tmp_path).read(rollout.name)]
    late = [later - earlier for earlier, later in pairwise(taken) if earlier > 3700]
    assert all(pause(3600) <= one <= pause(3 * 3600) + 1 for one in late)
    assert late != []


def test_without_postgres_a_young_step_of_an_old_rollout_is_looked_at_often(tmp_path: Path) -> None:
    world = live(World(spec=SPEC.model_copy(update={"manual": (50,)})), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=100, requests=20, seconds=300)
    rollout = histories(world.events)[FLIGHTS].rollouts[-1]
    world.append(EventKind.ROLLOUT_ALLOWED, f"{FLIGHTS}/2", "grace", {"rollout": rollout.name, "reason": "because"})
    run(world, tmp_path, ticks=6, requests=20)
    before = Journal(tmp_path).read(rollout.name)
    assert [one.step for one in before][-1] == 1
    emergency = Emergency(Journal(tmp_path), SimulatedTarget(world), lambda: world.now)
    for _ in range(60):
        world.now += timedelta(seconds=1)
        world.traffic(20)
        emergency.tick()
    assert len(Journal(tmp_path).read(rollout.name)) > len(before) + 30
