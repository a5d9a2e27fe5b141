"""Units from a real prediction log: its tables are written and read as they are in service."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.experiments.documents import judge_experiment
from deploy.experiments.gathering import looks_of
from deploy.experiments.logged import units_of_log
from deploy.experiments.plan import Experiment
from deploy.experiments.sources import look_of_log
from flywheel.contract import Column, Contract, Output
from flywheel.errors import UsageError
from flywheel.records import OUTCOMES, REQUESTS, answered, prediction_schema
from flywheel.storage import PredictionLog
from tests.deploy.experiments.worlds import START, document, plan

CONTRACT = Contract(
    columns=(Column(name="at", type="datetime", nullable=False),),
    event_time="at",
    entity=None,
    outputs=(Output(name="probability", type="double"),),
)
LATER = START + timedelta(days=30)
CONVERSION = {"name": "bought", "measure": {"kind": "conversion"}}


def day(number: float) -> datetime:
    return START + timedelta(days=number)


class Told:
    """A log as it is told: requests of units, and what became of them."""

    def __init__(self, root: Path) -> None:
        self.log, self.number = PredictionLog(root), 0
        self.predictions: list[dict[str, Any]] = []
        self.outcomes: list[dict[str, Any]] = []

    def request(self, unit: str | None, arm: str, at: float, **others: Any) -> None:
        """Tell of a request at a day, and of its outcome by `outcome`, known `known` days after it."""
        self.number += 1
        outcome, known = others.pop("outcome", None), others.pop("known", 0.0)
        name = f"p{self.number}"
        record = {"request_id": f"r{self.number}", "attempt": 1, "row": 0, "prediction_id": name, "status": "scored"}
        record |= {"event_time": day(at), "recorded_time": day(at), "unit": unit, "arm": arm, "use_case": "shop"}
        record |= {"inputs": {"at": day(at)}, "outputs": {"probability": others.pop("probability", 0.5)}}
        self.predictions.append(record | {"latency_ms": 10.0} | others)
        if outcome is not None:
            times = {"event_time": day(at), "time_known": day(at + known)}
            self.outcomes.append({"prediction_id": name, "outcome": outcome, "source": "shop"} | times)

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Write it, and read it back."""
        self.write()
        marked = answered(self.log.predictions("shop"), self.log.requests("shop"))
        return marked, self.log.outcomes("shop")

    def write(self) -> None:
        """Append all three tables."""
        lines = [{"request_id": one["request_id"], "time": one["event_time"]} for one in self.predictions]
        requests = [line | {"code": 200, "attempts": 1} for line in lines]
        self._append("predictions", self.predictions, prediction_schema(CONTRACT))
        self._append("requests", requests, REQUESTS)
        if self.outcomes:
            self._append("outcomes", self.outcomes, OUTCOMES)

    def _append(self, table: Any, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
        self.log.append("shop", table, pa.Table.from_pylist(list(rows), schema), "test", 1)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    made = Told(tmp_path / "log")
    made.request("zoe", "champion", 0)
    made.request("yan", "challenger", 0)
    return made


def values(told: Told, wanted: Experiment, as_of: datetime = LATER) -> dict[str, Any]:
    predictions, outcomes = told.frames()
    frame = units_of_log(wanted, predictions, outcomes, as_of).frame
    return dict(frame.select("unit", f"m:{wanted.metric.name}").iter_rows())


def test_a_unit_has_converted_when_any_of_its_outcomes_is_above_0(told: Told) -> None:
    told.request("ann", "champion", 1, outcome=0.0)
    told.request("ann", "champion", 2, outcome=1.0)
    told.request("bob", "challenger", 1, outcome=0.0)
    assert values(told, plan(metric=CONVERSION)) == {"ann": 1.0, "bob": 0.0, "yan": 0.0, "zoe": 0.0}


def test_revenue_adds_up_over_the_window_and_is_cut_at_the_cap(told: Told) -> None:
    told.request("ann", "champion", 1, outcome=600.0)
    told.request("ann", "champion", 7.9, outcome=30.0)
    told.request("ann", "champion", 8.1, outcome=5000.0)  # seven days after the first one
    told.request("bob", "challenger", 1, outcome=700.0)
    told.request("bob", "challenger", 2, outcome=700.0)
    assert values(told, plan()) == {"ann": 630.0, "bob": 1000.0, "yan": 0.0, "zoe": 0.0}


def test_a_cost_matrix_is_laid_on_decisions(told: Told) -> None:
    measure = {"kind": "cost", "threshold": 0.6, "false_positive": 2.0, "false_negative": 10.0, "true_positive": -1.0}
    wanted = plan(metric={"name": "cost", "measure": measure, "direction": "decrease"})
    told.request("ann", "champion", 1, probability=0.7, outcome=0.0)  # 2
    told.request("ann", "champion", 2, probability=0.5, outcome=1.0)  # 10
    told.request("bob", "challenger", 1, probability=0.6, outcome=1.0)  # -1
    told.request("bob", "challenger", 2, probability=0.1, outcome=0.0)  # 0
    told.request("bob", "challenger", 3, probability=0.9)
    assert values(told, wanted) == {"ann": 12.0, "bob": -1.0, "yan": None, "zoe": None}


def test_latency_and_failures_are_measured_by_unit(told: Told) -> None:
    told.request("ann", "champion", 1, latency_ms=30.0)
    told.request("ann", "champion", 2, latency_ms=50.0, status="failed")
    told.request("ann", "champion", 8.5, latency_ms=900.0)  # after the window
    rails = {
        "slow": {"measure": {"kind": "latency"}, "margin": 5},
        "failed": {"measure": {"kind": "failures"}, "margin": 0.1},
    }
    predictions, outcomes = told.frames()
    frame = units_of_log(plan(guardrails=rails), predictions, outcomes, LATER).frame.filter(pl.col("unit") == "ann")
    assert frame.select("m:slow", "m:failed").row(0) == (30.0, 0.5)


def test_a_unit_enters_once_its_window_has_passed_and_its_value_stays(told: Told) -> None:
    told.request("ann", "champion", 1, outcome=5.0)
    told.request("bob", "challenger", 3, outcome=7.0)
    told.request("ann", "champion", 2, outcome=9.0, known=20.0)  # known after the unit entered: never counted
    predictions, outcomes = told.frames()
    wanted = plan(window="7d", settle="1d")
    for at, measured in ((8.9, {"yan", "zoe"}), (9.1, {"ann", "yan", "zoe"}), (30, {"ann", "bob", "yan", "zoe"})):
        frame = units_of_log(wanted, predictions, outcomes, day(at)).frame
        found = dict(frame.select("unit", "m:revenue").drop_nulls().iter_rows())
        assert set(found) == measured
        assert found.get("ann", 5.0) == 5.0
        assert frame.height == 4


def test_only_units_of_the_plan_s_arms_rollout_and_time_count(told: Told) -> None:
    told.request("early", "champion", -1)
    told.request("shadowed", "shadow", 1)
    told.request(None, "champion", 1)
    told.request("other", "champion", 1, rollout="another")
    assert set(values(told, plan(start=START.isoformat()))) == {"zoe", "yan", "other"}


def test_a_rollout_s_experiment_takes_that_rollout_alone(told: Told) -> None:
    told.request("ann", "champion", 1, rollout="one")
    told.request("bob", "challenger", 1, rollout="one")
    told.request("cat", "challenger", 1, rollout="two")
    assert set(values(told, plan(rollout="one"))) == {"ann", "bob"}


def test_a_unit_in_two_arms_is_counted_apart(told: Told) -> None:
    told.request("zoe", "challenger", 4)
    told.request("ann", "champion", 4)
    predictions, outcomes = told.frames()
    look = looks_of(plan(), units_of_log(plan(), predictions, outcomes, LATER), 1)[-1]
    assert (look.units, look.contaminated) == ({"champion": 1, "challenger": 1}, 1)


def test_the_covariate_is_the_measure_before_the_start_as_it_was_known_then(told: Told) -> None:
    told.request("zoe", "champion", -3, outcome=40.0)
    told.request("zoe", "champion", -2, outcome=2.0)
    told.request("zoe", "champion", -1, outcome=500.0, known=3.0)  # known after the start
    told.request("zoe", "champion", -50, outcome=9000.0)  # before the pre-period
    predictions, outcomes = told.frames()
    wanted = plan(start=START.isoformat(), covariate={"before": "28d"})
    frame = units_of_log(wanted, predictions, outcomes, LATER).frame
    assert dict(frame.select("unit", "covariate").iter_rows()) == {"zoe": 42.0, "yan": 0.0}
    with pytest.raises(UsageError, match="start is missing"):
        units_of_log(plan(covariate={}), predictions, outcomes, LATER)


def test_an_outcome_of_an_entity_goes_to_its_last_prediction_though_it_is_not_in_the_experiment(told: Told) -> None:
    told.request("ann", "champion", 1, entity="order 5")
    told.request(None, "champion", 2, entity="order 5")
    told.request("bob", "challenger", 1, entity="order 6")
    times = {"event_time": day(3), "time_known": day(3)}
    told.outcomes = [{"entity": name, "outcome": 30.0, **times} for name in ("order 5", "order 6")]
    assert values(told, plan()) == {"ann": 0.0, "bob": 30.0, "yan": 0.0, "zoe": 0.0}


def test_a_look_of_the_log_is_what_the_judge_takes(told: Told) -> None:
    told.request("ann", "champion", 1, outcome=5.0)
    told.write()
    wanted = document(usecase="shop", start=START.isoformat())
    look = json.loads(json.dumps(look_of_log(wanted, told.log, day(5))))
    assert look["days"] == 5
    assert {arm: body["units"] for arm, body in look["arms"].items()} == {"champion": 2, "challenger": 1}
    assert judge_experiment(wanted, [look])["call"] == "not yet"
    later = look_of_log(wanted, told.log, day(20))["arms"]["champion"]["metrics"]["revenue"]
    assert sum(fold["count"] for fold in later) == 2


def test_an_arm_without_a_unit_is_refused(told: Told) -> None:
    predictions, outcomes = told.frames()
    with pytest.raises(UsageError, match="the log has no unit in arm 'third'"):
        units_of_log(plan(shares={"champion": 50.0, "third": 50.0}), predictions, outcomes, LATER)


def test_requests_with_the_event_times_of_old_data_are_named_as_the_reason(tmp_path: Path) -> None:
    told = Told(tmp_path)
    for number in range(4):
        told.request(f"u{number}", ("champion", "challenger")[number % 2], -3600, recorded_time=day(1))
    told.request(None, "challenger", -3600, recorded_time=day(1))
    told.write()
    with pytest.raises(UsageError, match=r"since the start\. 4 of 4 requests .* more than a day after their") as caught:
        look_of_log(document(usecase="shop", start=START.isoformat()), told.log, day(2))
    assert "send rows with the event time of the request" in str(caught.value)
    assert "Look whether" not in str(caught.value)


def test_requests_of_their_own_time_are_no_reason(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.request("u", "champion", 1)
    told.write()
    with pytest.raises(UsageError, match="Look whether requests name their unit"):
        look_of_log(document(usecase="shop", start=START.isoformat()), told.log, day(2))


def test_the_report_reads_the_log_of_the_plan_s_use_case(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(400):
        arm = "challenger" if number % 2 else "champion"
        told.request(f"u{number}", arm, 0.01 * number, outcome=10.0 + number % 3 + 2 * (number % 2))
    told.request("late", "champion", 0, recorded_time=day(3))
    told.write()
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path))
    file = tmp_path / "experiment.yaml"
    file.write_text(json.dumps(document(usecase="shop", start=START.isoformat())))
    shown = CliRunner().invoke(app, ["experiment", "report", str(file), "--json"], catch_exceptions=False)
    found = json.loads(shown.stdout)["judgement"]
    assert (shown.exit_code, found["call"]) == (0, "promote")
    assert shown.stderr.startswith("Caution: 1 of 403 requests that name their unit came more than a day after their")
    assert found["arms"][1]["gain"]["estimate"] == pytest.approx(2, abs=0.2)
    file.write_text(json.dumps(document(usecase="other")))
    with pytest.raises(UsageError, match="Use case 'other' has no predictions here"):
        CliRunner().invoke(app, ["experiment", "report", str(file)], catch_exceptions=False)
    file.write_text(json.dumps(document()))
    with pytest.raises(UsageError, match="names no usecase"):
        CliRunner().invoke(app, ["experiment", "report", str(file)], catch_exceptions=False)
