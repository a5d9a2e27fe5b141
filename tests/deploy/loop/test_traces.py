"""How evidence grew, thinned for a picture: what the events of a rollout carry, and what a restart leaves of it."""

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deploy.loop.fold import histories
from deploy.loop.journal import Journal
from deploy.loop.looking import Looking
from deploy.loop.traces import MOST, Point, trace
from flywheel.events import Event, EventKind
from flywheel.rollout_spec import Rollout as RolloutSpec
from tests.deploy.simulated import FLIGHTS, PLAIN, World, controller, live, run


def steps(world: World, kind: EventKind = EventKind.ROLLOUT_STEP) -> list[Event]:
    return [event for event in world.events if event.kind == kind and event.body.get("state") == "intent"]


@given(count=st.integers(0, 5 * MOST), most=st.integers(2, MOST))
def test_so_many_points_are_kept_in_order_with_the_first_and_the_last(count: int, most: int) -> None:
    points = [Point(float(number), {"errors": {"evidence": 2.0 * number}}) for number in range(count)]
    found = trace(points, most)
    if not count:
        assert found == {}
        return
    seconds, evidence = found["seconds"], found["metrics"]["errors"]["evidence"]
    assert len(seconds) == len(evidence) == min(count, most)
    assert (seconds[0], seconds[-1]) == (0.0, count - 1)
    assert all(before < after for before, after in pairwise(seconds))
    assert evidence == [2 * one for one in seconds]
    gaps = [after - before for before, after in pairwise(seconds)]
    assert not gaps or max(gaps) - min(gaps) <= 1  # evenly


def test_what_is_infinite_is_null_and_the_rest_keeps_five_digits() -> None:
    point = Point(1.23456, {"loss": {"evidence": float("inf"), "threshold": 33.333333}})
    assert trace([point]) == {"seconds": [1.2], "metrics": {"loss": {"evidence": [None], "threshold": [33.333]}}}
    json.dumps(trace([point]), allow_nan=False)


def test_each_step_is_recorded_with_how_its_evidence_grew_until_it_was_decided(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=400, requests=60)
    _, second = steps(world)
    for event in (second, *steps(world, EventKind.ROLLOUT_PROMOTED)[1:]):
        seconds, metrics = event.body["trace"]["seconds"], event.body["trace"]["metrics"]
        said = event.body["verdict"]["metrics"]["errors"]["statistic"]
        assert len(seconds) == len(event.body["looks"]) > 1
        assert all(before < after for before, after in pairwise(seconds))
        assert set(metrics["errors"]) == set(said)
        assert all(len(values) == len(seconds) for values in metrics["errors"].values())
        assert metrics["errors"]["evidence"][-1] >= metrics["errors"]["threshold"][-1]
        assert metrics["errors"]["of"][-1] == said["of"]


def test_a_restart_forgets_nothing_of_it(tmp_path: Path) -> None:
    world = live(World(spec=RolloutSpec(steps=(10,), max_minutes=30, manual=(100,), **PLAIN)), tmp_path)
    world.approve("2")
    one = controller(world, tmp_path)
    for _ in range(20):
        world.now += timedelta(seconds=1)
        one.tick()
        world.traffic(100)
    rollout = histories(world.events)[FLIGHTS].current
    assert rollout is not None
    before = one._eyes.looks(rollout).trace(rollout.step)
    assert len(before["seconds"]) > 10
    assert Looking.resumed(rollout, Journal(tmp_path)).trace(rollout.step) == before
