"""The registry's fold of a rollout's events, against the controller's own, on every prefix of many histories."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.desired import Served
from deploy.loop.fold import histories
from deploy.loop.plans import References, make_plan
from deploy.loop.rollout import ACTIVE, started_body
from flywheel.events import Event, EventKind
from flywheel.rollout_spec import Rollout as RolloutSpec
from registry.rollouts.plan import SHADOW, read_plan
from registry.rollouts.record import Phase, records, under_way
from registry.rollouts.view import build
from tests.deploy.simulated import FLIGHTS, PLAIN, SimulatedLedger, World, controller, prepared

WAYS = (
    RolloutSpec(steps=(10, 50), max_minutes=0.2, **PLAIN),
    RolloutSpec(steps=(5,), manual=(5, 100), bake=timedelta(seconds=4), guard=("errors",), least_requests=1),
    RolloutSpec(strategy="blue_green", guard=("errors",), least_requests=1, bake=timedelta(seconds=3)),
)
SAID = {
    "pause": EventKind.ROLLOUT_PAUSED,
    "resume": EventKind.ROLLOUT_RESUMED,
    "allow": EventKind.ROLLOUT_ALLOWED,
}
ACTS = ("tick", "tick", "tick", "traffic", "harm", "approve", "archive", "undeploy", "turn bad", "warn", *SAID)
EXPERIMENTS = (
    "tick",
    "tick",
    "tick",
    "traffic",
    "traffic",
    "harm",
    "harm others",
    "gain",
    "experiment",
    "archive",
    *SAID,
)


def agree(events: list[Event]) -> None:
    history = histories(events).get(FLIGHTS)
    theirs, mine = (history.rollouts if history else ()), records(events)
    assert [one.name for one in mine] == [one.name for one in theirs]
    for ours, other in zip(mine, theirs, strict=True):
        assert (ours.phase.value, ours.step, ours.percent) == (other.phase.value, other.step, other.percent)
        assert (ours.paused, ours.allowed, ours.confirmed) == (other.paused, other.allowed, other.confirmed)
        assert (ours.new.number, ours.new.digest) == (other.new.version, other.new.digest)
        assert (ours.old and ours.old.number) == (other.old and other.old.version)
        assert [(one.number, one.digest) for one in ours.others] == [(one.version, one.digest) for one in other.others]
        assert ours.plan.experiment == other.plan.experiment
        assert (ours.plan.steps, ours.bakes, ours.reason) == (other.plan.steps, other.bakes, other.reason)
        assert ours.cause == (other.cause.value if other.cause else None)
        assert (SHADOW in ours.plan.judged) == (other.plan.shadow is not None)
    now, there = under_way(mine), history.current if history else None
    assert (now and now.name) == (there and there.name)
    if there is not None:
        assert there.phase in ACTIVE


def act(world: World, folder: Path, what: str) -> None:
    """Let one thing happen in the world."""
    if what == "tick":
        world.now += timedelta(seconds=1)
        controller(world, folder).tick()
    elif what in ("traffic", "harm"):
        world.traffic(4000, canary_errors=400 if what == "harm" else 0)
    elif what in OTHERS:
        OTHERS[what](world)
    elif what == "approve":
        world.approve(str(len(world.digests) + 1))
    elif what == "archive":
        live = [version for version, stage in world.stages.items() if stage == "Production"]
        if live:
            world.archive(live[-1], "grace")
    elif what == "undeploy":
        if any(event.kind == EventKind.ROLLOUT_STARTED for event in world.events):
            world.append(EventKind.ROLLOUT_UNDEPLOYED, FLIGHTS, "svc-controller", {"reason": "x", "versions": []})
    else:
        found = histories(world.events).get(FLIGHTS)
        current = found.current if found else None
        if current is not None:
            body = {"rollout": current.name, "version": current.new.version, "reason": "people say so"}
            world.append(SAID[what], current.new.subject, "olga", body)


def turn_bad(world: World) -> None:
    """Let the controller find that what is live has turned bad, if anything is and nothing is under way."""
    found = histories(world.events).get(FLIGHTS)
    if found is not None and found.current is None and found.reign is not None:
        body = {"rollout": found.reign.name, "version": found.reign.new.version, "reason": "It turned bad."}
        world.append(EventKind.ROLLOUT_TURNED_BAD, found.reign.new.subject, "svc-controller", body)


def warn(world: World) -> None:
    """Let the controller find that the loss of what is live has risen, if anything is and nothing is under way."""
    found = histories(world.events).get(FLIGHTS)
    if found is not None and found.current is None and found.reign is not None:
        body = {"rollout": found.reign.name, "version": found.reign.new.version, "metric": "loss", "reason": "It rose."}
        world.append(EventKind.ROLLOUT_WARNED, found.reign.new.subject, "svc-controller", body)


def experiment(world: World) -> None:
    """Let one begin with two new versions, where that is possible."""
    numbers = [str(len(world.digests) + more) for more in (1, 2)]
    found = histories(world.events).get(FLIGHTS)
    if found is None or found.champion is None or found.current is not None:
        return
    for number in numbers:
        world.approve(number)
    versions = dict(zip(("challenger", "challenger-2"), numbers, strict=True))
    prepared(world, versions=versions).record(SimulatedLedger(world))


def harm_others(world: World) -> None:
    """Let further challengers fail from now on."""
    world.faults = dict.fromkeys(world.digests, 300)


def gain(world: World) -> None:
    """Let the newest version convert more users, and time for a look pass."""
    world.rates[max(world.digests, key=int)] = 0.9
    world.now += timedelta(minutes=2)


OTHERS = {"turn bad": turn_bad, "warn": warn, "experiment": experiment, "harm others": harm_others, "gain": gain}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(WAYS), acts=st.lists(st.sampled_from(EXPERIMENTS), min_size=10, max_size=60))
def test_both_tell_the_same_of_every_prefix_of_every_experiment(
    tmp_path_factory: pytest.TempPathFactory, way: RolloutSpec, acts: list[str]
) -> None:
    folder, world = tmp_path_factory.mktemp("journal"), World(spec=way)
    world.approve("1")
    for what in (*("tick",) * 8, "experiment", *("tick",) * 6, *acts):
        act(world, folder, what)
    for end in range(len(world.events) + 1):
        agree(world.events[:end])


def test_an_experiment_that_a_further_challenger_wins_is_told_alike(tmp_path: Path) -> None:
    world = World(spec=WAYS[1])
    for what in ("approve", *("tick",) * 6, "experiment", *("tick",) * 6, *("gain", "traffic", "tick", "allow") * 20):
        act(world, tmp_path, what)
    (record,) = (one for one in records(world.events) if one.plan.experiment)
    before = next(one for one in records(world.events[:-8]) if one.plan.experiment)
    assert (before.title, record.title) == ("versions 2, 3", "version 3")
    assert (record.new.number, [one.number for one in record.others]) == ("3", ["2"])
    for end in range(len(world.events) + 1):
        agree(world.events[:end])
    view = build(record, world.now)
    assert [one.title for one in view.metrics] == ["Errors, challenger", "Errors, challenger-2"]
    assert [one.evidence.stretches[0].share for one in view.metrics] == [30 / 80, 20 / 70]
    assert dict(view.plan)["Experiment"].startswith("two rankers: champion 50 %, challenger (version 2) 30 %, ")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(WAYS), acts=st.lists(st.sampled_from(ACTS), min_size=10, max_size=60))
def test_both_tell_the_same_of_every_prefix_of_every_history(
    tmp_path_factory: pytest.TempPathFactory, way: RolloutSpec, acts: list[str]
) -> None:
    folder, world = tmp_path_factory.mktemp("journal"), World(spec=way)
    world.approve("1")
    for what in ("tick",) * 6 + ("approve",) + ("tick",) * 4:
        act(world, folder, what)
    for what in acts:
        act(world, folder, what)
    for end in range(len(world.events) + 1):
        agree(world.events[:end])


def test_a_history_reaches_every_phase_that_is_told_of(tmp_path: Path) -> None:
    seen = set()
    turns = (("tick", "traffic", "allow"), ("tick", "harm"), ("tick", "tick"))
    for number, (way, turn) in enumerate(zip((WAYS[1], WAYS[0], WAYS[0], WAYS[2]), (*turns, turns[0]), strict=True)):
        world, folder = World(spec=way), tmp_path / f"{number}"
        for what in ("approve", *("tick",) * 6, "approve", *turn * 30):
            act(world, folder, what)
        for end in range(len(world.events) + 1):
            seen |= {one.phase for one in records(world.events[:end])}
    assert seen == set(Phase)


@pytest.mark.parametrize("what", ["turn bad", "warn"])
def test_what_turned_bad_long_after_ended_when_it_took_over(tmp_path: Path, what: str) -> None:
    world = World(spec=WAYS[0])
    for each in ("approve", *("tick",) * 6):
        act(world, tmp_path, each)
    (before,) = records(world.events)
    world.now += timedelta(days=90)
    act(world, tmp_path, what)
    (after,) = records(world.events)
    assert len(after.moments) == len(before.moments) + 1
    assert (after.phase, after.ended) == (Phase.DONE, before.ended)


def test_both_read_a_rollout_of_before_plans_were_written(tmp_path: Path) -> None:
    world = World(spec=WAYS[0])
    for what in ("approve", *("tick",) * 6):
        act(world, tmp_path, what)
    old = World()
    for event in world.events:
        body = dict(event.body)
        if body.pop("plan", None) is not None:
            body |= {"steps": [10, 50], "margin": 0.01, "alpha": 0.05, "max_minutes": 30}
        old.append(event.kind, event.subject, event.actor, body)
    for end in range(len(old.events) + 1):
        agree(old.events[:end])
    plan = records(old.events)[0].plan
    assert (plan.steps, plan.way.max_minutes) == ((10, 50), 30)


def test_a_plan_that_an_earlier_release_recorded_has_a_page() -> None:
    plan = make_plan(RolloutSpec(), 0.05, References())
    body = started_body(Served(FLIGHTS, "2", "sha256:2"), None, "r1", plan)
    body["plan"]["spec"]["nice"] = True
    assert read_plan(body).steps == plan.steps
