"""The prediction log as a rollout uses it: which rows are evidence of which step."""

from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from deploy.desired import Served
from deploy.evidence.evidence import Evidence
from deploy.loop.observing import StepEvidence, _plan, metrics_of
from deploy.loop.plans import References, make_plan
from deploy.loop.rollout import Phase, Rollout
from flywheel.errors import SpecError
from flywheel.rollout_spec import Rollout as RolloutSpec
from tests.deploy.evidence.rollout_log import NAME, ROLLOUT, RolloutLog, outcome, plan, record, second

EVIDENCE = plan(shadow=True, loss={"low": 0.0, "high": 2.0})
BEGAN = second(0).replace(tzinfo=UTC)


def in_shadow(folder: Path) -> tuple[RolloutLog, StepEvidence]:
    log = RolloutLog(folder)
    evidence = Evidence.of(log.log, NAME, ROLLOUT, EVIDENCE)
    document = {"plan": EVIDENCE.model_dump(mode="json"), "start": evidence.start()}
    way = make_plan(RolloutSpec(), 0.05, References(evidence=document))
    new, old = Served(NAME, "2", "d2"), Served(NAME, "1", "d1")
    rollout = Rollout(ROLLOUT, new, old, way, Phase.SHADOW, BEGAN, BEGAN, BEGAN, step=0)
    return log, StepEvidence(evidence, rollout)


def requests(log: RolloutLog, numbers: range) -> None:
    """Let requests be answered by the champion and its shadow, and their outcomes come."""
    for arm, chance in (("champion", 0.5), ("shadow", 0.75)):
        log.answered([record(number, arm, outputs={"probability": chance, "decision": True}) for number in numbers])
    log.append("outcomes", [outcome(1, prediction_id=f"cn{number}") for number in numbers])


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.HELD])
def test_in_shadow_held_or_not_the_loss_goes_by_pairs_and_nothing_waits_for_the_traffic(
    tmp_path: Path, phase: Phase
) -> None:
    log, shadow = in_shadow(tmp_path)
    requests(log, range(10))
    found, cursor = replace(shadow, rollout=replace(shadow.rollout, phase=phase)).since({})
    assert len(found["loss"]["differences"]) == 10
    assert cursor["held"] == {}


def test_two_versions_that_cannot_be_compared_are_said_so_in_a_sentence() -> None:
    costs: dict[str, Any] = {"kind": "cost", "low": 0, "high": 1, "costs": {"false_positive": 1, "false_negative": 1}}
    document = {"champion": "1", "challenger": "2", "task": "regression", "outputs": {"prediction": "double"}}
    with pytest.raises(SpecError, match="Versions 1 and 2 cannot be compared: costs need a decision between 0 and 1"):
        _plan({**document, "kpi": costs})


def test_a_champion_that_loses_less_than_the_margin_has_a_plan_all_the_same() -> None:
    way = RolloutSpec()
    found = plan(loss={"low": 0.0, "high": way.loss_margin / 10})
    made = make_plan(way, 0.05, References(metrics=metrics_of(way, found)))
    assert made.traffic is not None
    assert "loss" in made.traffic.metrics
