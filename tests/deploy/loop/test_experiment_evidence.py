"""What a real prediction log says of the arms of an experiment: errors by user, and what the measure goes by."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.desired import Served
from deploy.evidence.evidence import Evidence
from deploy.experiments.documents import parse_plan
from deploy.experiments.sources import look_of_log
from deploy.loop.experiment_plans import experiment_plan, experiment_way
from deploy.loop.journal import Journal
from deploy.loop.looking import Looking
from deploy.loop.observing import LogObservatory
from deploy.loop.plans import References, RolloutPlan
from deploy.loop.rollout import Phase, Rollout
from deploy.packages import Packages
from deploy.shares import ArmCounts
from deploy.verdict import Call
from deploy.verdict_metrics import Frame, UsersSpec
from flywheel.rollout_spec import Rollout as RolloutSpec
from tests.deploy.evidence.rollout_log import AT, NAME, ROLLOUT, RolloutLog, Row, line, plan, record, second

SHARES = {"champion": 50, "challenger": 30, "challenger-2": 20}
VERSIONS = {"challenger": "2", "challenger-2": "3"}
EXPERIMENT = parse_plan(
    {"name": "two", "usecase": NAME, "metric": {"name": "failures", "measure": {"kind": "failures"}}, "shares": SHARES}
    | {"control": "champion", "versions": VERSIONS, "window": "0s", "start": AT.isoformat(), "rollout": ROLLOUT},
    "The plan",
)


def planned(log: RolloutLog) -> RolloutPlan:
    """Return the plan of an experiment that begins now."""
    references = {}
    for arm, version in VERSIONS.items():
        looked_at = plan(challenger=version, sticky=True, users=True)
        start = Evidence.of(log.log, NAME, "", looked_at).start()
        references[arm] = References(evidence={"plan": looked_at.model_dump(mode="json"), "start": start})
    return experiment_plan(experiment_way(RolloutSpec(), EXPERIMENT), 0.05, references, EXPERIMENT)


def under_way(made: RolloutPlan) -> Rollout:
    versions = [Served(NAME, number, f"sha256:{number * 8}") for number in "123"]
    at = AT.replace(tzinfo=UTC)
    return Rollout(ROLLOUT, versions[1], versions[0], made, Phase.CANARY, at, at, at, step=0, others=(versions[2],))


def looked(log: RolloutLog, rollout: Rollout, folder: Path) -> Looking:
    """Take a look at an experiment in traffic, of which the gateway counted requests and no errors."""
    now = AT.replace(tzinfo=UTC) + timedelta(hours=1)
    observatory = LogObservatory(log.log, Packages(folder, lambda usecase, version, to: to), lambda: now)
    looking = Looking.resumed(rollout, Journal(folder / "journal"))
    counters = {arm: ArmCounts(100 * share) for arm, share in SHARES.items()}
    looking.look(rollout, now, lambda: counters, observatory.evidence(rollout))
    return looking


def lines(rates: Mapping[str, int]) -> list[Row]:
    """Return one request of each of 4,000 users; of every 40 of an arm so many fail, by default one."""
    arms = [arm for arm, share in SHARES.items() for _ in range(share)]
    return [
        line(number, arm, unit=f"u{number}", code=503 if number // 100 < rates.get(arm, 1) else 200)
        for number in range(4000)
        for arm in [arms[number % 100]]
    ]


@pytest.mark.parametrize(
    ("rates", "worse"), [({"challenger-2": 12}, "challenger-2"), ({"challenger": 12}, "challenger")]
)
def test_the_arm_whose_users_fail_more_often_is_found(tmp_path: Path, rates: dict[str, int], worse: str) -> None:
    log = RolloutLog(tmp_path / "log")
    rollout = under_way(planned(log))
    log.append("requests", lines(rates))
    looking = looked(log, rollout, tmp_path)
    assert looking.worse(0) == worse
    assert looking.verdict(0)["call"] == Call.ROLL_BACK
    assert looking.verdict(0)["reason"].startswith(f"users {worse}: ")


def test_arms_of_uneven_shares_that_fail_alike_are_not_taken_for_worse(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path / "log")
    rollout = under_way(planned(log))
    log.append("requests", lines(dict.fromkeys(SHARES, 10)))
    looking = looked(log, rollout, tmp_path)
    found = looking.verdict(0)["metrics"]
    assert found["users challenger-2"]["counts"]["users"] == 700  # a quarter of both arms' users
    assert looking.worse(0) is None


def test_the_users_of_a_challenger_are_held_against_its_share_of_both_arms(tmp_path: Path) -> None:
    made = planned(RolloutLog(tmp_path / "log"))
    assert made.traffic is not None
    metrics = made.traffic.model_dump()["metrics"]
    assert metrics["users challenger"]["share"] == pytest.approx(37.5)
    assert metrics["users challenger-2"]["share"] == pytest.approx(100 * 20 / 70)
    assert metrics["errors challenger"]["part"] is None  # requests of one user fail together
    assert RolloutPlan.from_json({"plan": made.to_json()}) == made


def test_a_share_of_the_users_stands_for_that_of_the_step() -> None:
    told = UsersSpec(kind="users", part=1.0, share=30, planned=50).build(Frame((50,), 0.05))
    plain = UsersSpec(kind="users", part=1.0, planned=50).build(Frame((30,), 0.05))
    look = ({f"c{number}": 1 for number in range(20)}, {f"b{number}": 1 for number in range(20)})
    assert told.take(look).reading() == plain.take(look).reading()
    assert told.take(look).worse
    assert not UsersSpec(kind="users", part=1.0, planned=50).build(Frame((50,), 0.05)).take(look).worse


def test_the_same_log_says_what_the_measure_is_looked_at_by(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path / "log")
    document: dict[str, Any] = dict(planned(log).experiment)
    arms = [arm for arm, share in SHARES.items() for _ in range(share)]
    rows = [record(number, arm, unit=f"u{number}") for number, arm in enumerate(arms)]
    log.answered(rows)
    look = look_of_log(document, log.log, second(4000))
    assert {arm: body["units"] for arm, body in look["arms"].items()} == SHARES
    assert look["arms"]["challenger-2"]["metrics"]["failures"][0]["mean"] == 0
