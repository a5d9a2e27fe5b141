"""What may be said of a rollout: nothing that would change nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flywheel.rollout_spec import Rollout as Way
from registry.rollouts.plan import Plan
from registry.rollouts.record import Phase, Record, Version
from registry.rollouts.sayings import may_allow

EXPERIMENT = {"shares": {"champion": 50, "challenger": 50}, "control": "champion"}


def record(experiment: dict[str, Any], **way: Any) -> Record:
    plan = Plan(Way(**way), {}, experiment)
    old, new = Version("1", "sha256:a"), Version("2", "sha256:b")
    started = datetime(2026, 1, 1, tzinfo=UTC)
    return Record("rain-v2-1", "rain", new, old, plan, started, phase=Phase.CANARY, step=0)


def test_an_experiment_that_looks_on_by_itself_has_no_step_to_allow() -> None:
    refusal = may_allow(record(EXPERIMENT))
    assert refusal is not None
    assert "`flywheel experiment stop rain` ends it without a winner." in refusal
    assert may_allow(record({})) is None


@pytest.mark.parametrize("changed", [{"phase": Phase.HELD}, {"paused": "olga: the airport is closed"}])
def test_one_that_is_held_or_paused_may_look_on(changed: dict[str, Any]) -> None:
    assert may_allow(replace(record(EXPERIMENT), **changed)) is None


def test_one_whose_last_step_waits_for_people_may_be_allowed_to_take_it() -> None:
    assert may_allow(record(EXPERIMENT, manual=(100,))) is None
