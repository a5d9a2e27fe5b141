"""The plan of a rollout: every way that a use case and a policy can ask for together has one, and is read again."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.loop.plans import References, RolloutPlan, make_plan
from flywheel.policy_parts import RolloutPolicy
from flywheel.rollout_spec import Rollout as RolloutSpec
from tests.deploy.simulated import SPEC, World, live, run


def planned(policy: RolloutPolicy, **asked: Any) -> RolloutPlan:
    plan = make_plan(policy.over(RolloutSpec.model_validate(asked)), policy.alpha, References())
    assert RolloutPlan.from_json({"plan": plan.to_json()}) == plan
    return plan


@pytest.mark.parametrize("guard", [("latency",), ("loss",), ()])
@pytest.mark.parametrize("least", [(), ("latency",), ("errors", "kpi")])
def test_a_version_of_whose_guards_nothing_is_known_is_judged_by_errors(
    guard: tuple[str, ...], least: tuple[Any, ...]
) -> None:
    plan = planned(RolloutPolicy(guard=least), guard=guard)
    for judged_by in (plan.shadow, plan.traffic):
        assert judged_by is not None
        assert set(judged_by.metrics) == {"errors"}


def test_a_guard_of_the_policy_that_the_use_case_says_nothing_of_has_its_defaults() -> None:
    plan = planned(RolloutPolicy(guard=("errors", "kpi")))
    assert plan.spec.kpi is not None
    assert plan.spec.kpi.measure == "conversion"


def test_parts_that_leave_nothing_to_a_guard_of_the_policy_make_room_for_it() -> None:
    plan = planned(RolloutPolicy(), guard=["latency"], parts={"latency": 1.0})
    assert plan.spec.parts == {"latency": pytest.approx(1 / 1.6)}
    assert plan.spec.alpha_parts(("latency", "errors"))["errors"] == pytest.approx(0.6 / 1.6)
    assert planned(RolloutPolicy(), guard=["latency"], parts={"latency": 0.5}).spec.parts == {"latency": 0.5}


def test_a_bake_that_ends_after_all_time_is_waited_for(tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"bake": timedelta(days=99_999_999)})
    world = live(World(spec=spec), tmp_path)
    world.approve("2")
    progress = run(world, tmp_path)
    assert progress is not None
    assert progress.settled
    assert "stays warm" in progress.reason


@pytest.mark.parametrize("steps", [(50,), (5, 25)])
def test_whoever_is_randomised_the_shadow_goes_by_requests(steps: tuple[int, ...]) -> None:
    plan = planned(RolloutPolicy(), steps=steps, unit="user")
    assert plan.shadow is not None
    assert plan.traffic is not None
    assert ("users" in plan.shadow.metrics, "users" in plan.traffic.metrics) == (False, True)
