"""The prediction log as a rollout uses it: which rows are evidence of which step."""

import math
import shutil
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.desired import Served
from deploy.evidence.evidence import Evidence
from deploy.evidence.plan import Loss
from deploy.loop.observing import LogObservatory, StepEvidence, _plan, metrics_of
from deploy.loop.plans import References, make_plan
from deploy.loop.rollout import Phase, Rollout
from deploy.packages import Packages
from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError, SpecError
from flywheel.profile import Reference
from flywheel.rollout_spec import Rollout as RolloutSpec
from flywheel.storage import PredictionLog
from tests.deploy.evidence.rollout_log import NAME, ROLLOUT, RolloutLog, outcome, plan, record, second
from tests.monitoring.flights_package import USE_CASE, write_model

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


def live_package(folder: Path) -> tuple[LogObservatory, Rollout]:
    """Return what knows the losses of a version, and the rollout that brought it."""
    use_case = {**USE_CASE, "name": NAME}
    model = write_model(folder / "model", Reference(loss=0.4, standard_error=0.01, rows=1_000), use_case)
    packages = Packages(folder / "packages", lambda usecase, version, to: Path(shutil.copytree(model, to)))
    served = Served(NAME, "2", folder_digest(model))
    way = make_plan(RolloutSpec(unit="user"), 0.05, References())
    rollout = Rollout(ROLLOUT, served, None, way, Phase.DONE, BEGAN, BEGAN, BEGAN)
    return LogObservatory(PredictionLog(folder / "log"), packages, lambda: BEGAN), rollout


def test_the_losses_of_what_is_live_go_by_its_own_package(tmp_path: Path) -> None:
    observatory, rollout = live_package(tmp_path)
    found = observatory.losses(rollout)
    assert (found.plan.champion, found.plan.task, found.plan.value) == ("2", "binary", "probability")
    assert found.plan.horizon == timedelta(days=4)  # its label is known after a day
    assert found.plan.sticky
    assert (found.usecase, found.since, found.newest()) == (NAME, second(0), 0)
    log, at = RolloutLog(tmp_path / "log"), second(500)
    rows = [
        record(number, rollout=None, unit=f"u{number}") | {"arm": None, "model_version": "2"} for number in range(9)
    ]
    log.answered(rows)
    log.append("outcomes", [outcome(1.0, prediction_id=f"cn{number}", recorded_time=at) for number in range(9)])
    values, place = observatory.losses(rollout).after(0, at + timedelta(hours=1), Loss(low=0.0, high=2.0))
    assert values == pytest.approx([math.log(2)] * 9)
    assert place == 1


def test_the_losses_of_a_package_that_is_not_what_was_approved_are_refused(tmp_path: Path) -> None:
    observatory, rollout = live_package(tmp_path)
    (tmp_path / "model" / "MLmodel").write_text("altered")
    with pytest.raises(IntegrityError):
        observatory.losses(rollout)


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
