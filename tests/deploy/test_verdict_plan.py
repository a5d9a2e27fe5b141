import re

import pytest
from pydantic import ValidationError

from deploy.verdict.counted import Errors, Latency
from deploy.verdict.looks import Look
from deploy.verdict_looks import LookSpec
from deploy.verdict_metrics import ErrorsSpec, LatencySpec, MeanSpec, PodsSpec, Thresholds, UsersSpec
from deploy.verdict_plan import PlanSpec

SECONDS = {"p90": 0.1, "p99": 0.4}


def errors(**keys: object) -> Errors:
    plan = PlanSpec.model_validate({"steps": [5, 20], "metrics": {"it": {"kind": "errors", "part": 0.5, **keys}}})
    built = plan.build()["it"]
    assert isinstance(built, Errors)
    return built


def test_how_alpha_is_spent_is_what_the_plan_says() -> None:
    by_requests = errors(planned_requests=5000, pace=1.5, spending=0.8).plan
    assert (by_requests.alpha, by_requests.gate_alpha) == (0.025, 0.05)
    schedule = by_requests.schedule
    assert (schedule.planned, schedule.by_requests, schedule.pace, schedule.spending_share) == (5000, True, 1.5, 0.8)
    assert (errors(planned=70).plan.schedule.planned, errors(planned=70).plan.schedule.by_requests) == (70, False)
    assert 100 < errors().plan.schedule.planned < 1000


def test_latency_and_units_take_their_plan_too() -> None:
    metrics = {
        "latency": LatencySpec(
            kind="latency", part=0.2, seconds=Thresholds(p90=0.1, p99=0.4), tolerance=2, block_seconds=3
        ),
        "users": UsersSpec(kind="users", part=0.2, planned=80, pace=3.0),
        "pods": PodsSpec(kind="pods", part=0.2, planned=90, looks=4),
    }
    built = PlanSpec.model_validate({"steps": [5], "metrics": {k: v.model_dump() for k, v in metrics.items()}}).build()
    latency = built["latency"]
    assert isinstance(latency, Latency)
    assert (latency.block, {level.tolerance for level in latency.levels}) == (3, {2.0})
    assert (vars(built["users"])["plan"].planned, vars(built["users"])["plan"].pace) == (80, 3.0)
    assert (vars(built["pods"])["plan"].planned, vars(built["pods"])["block"]) == (90, 4)


def test_errors_open_gates_only_where_the_plan_says_so_and_after_its_least_requests() -> None:
    good = Look(3000, 3, 12_000, 12)
    assert errors().take(good).reading().good is True
    assert errors(opens=False).take(good).reading().good is None
    assert errors(least_requests=3001).take(good).reading().good is False
    assert errors(least_requests=3000).take(good).next_step().reading().good is False


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"planned": 5.0, "planned_requests": 5}, "the same in two units"),
        ({"ratio": 1.0}, "greater than 1"),
        ({"spending": 1.0}, "less than 1"),
        ({"least_requests": 0}, "greater than or equal to 1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(keys: dict[str, float], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        errors(**keys)


def test_a_reward_is_a_mean_of_which_more_is_better() -> None:
    reward = MeanSpec(kind="mean", part=1.0, low=0, high=5, margin=0.5, better="higher")
    built = PlanSpec(steps=(10,), metrics={"it": reward}).build()["it"]
    assert built.take([-2.0, -1.5, -2.5] * 40).reading().worse
    assert not built.take([2.0, 1.5, 2.5] * 40).reading().worse


def test_a_look_is_taken_as_its_plan_has_it_or_refused_with_where_and_what() -> None:
    plan = PlanSpec(steps=(5, 20), metrics={"it": ErrorsSpec(kind="errors", part=1.0)})
    arms = {"canary": {"requests": 9, "errors": 1}, "baseline": {"requests": 90, "errors": 0}}
    taken = LookSpec(step=20, metrics={"it": arms}).taken(plan)
    assert (taken.step, taken.metrics) == (1, {"it": Look(9, 1, 90, 0)})
    for look, what in (
        ({"step": 10, "metrics": {}}, "step: 10 is none of the plan's steps [5, 20]"),
        ({"step": 5, "metrics": {"other": {}}}, "metrics.other is no metric of the plan"),
        (
            {"step": 5, "metrics": {"it": {**arms, "canary": {"requests": 1, "errors": 2}}}},
            "'look.metrics.it.canary' is wrong: 2 errors",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(what)):
            LookSpec.model_validate(look).taken(plan)
