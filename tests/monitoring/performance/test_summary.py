"""A window of the log is summed up: metrics, versions, arms, slices and costs, as the use case asks."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest

from flywheel.contract import Output
from flywheel.usecase import parse_usecase
from monitoring.performance.answers import with_losses
from monitoring.performance.decisions import with_decisions
from monitoring.performance.summary import Summary, summarise
from monitoring.windows.window import Span, Window, read_window
from tests.monitoring.flights_log import CONTRACT, Flight, write_log
from tests.monitoring.flights_package import USE_CASE

START = datetime(2013, 4, 1)
SPAN = Span(START, START + timedelta(days=20), START + timedelta(days=30))
DECIDING = CONTRACT.model_copy(
    update={"outputs": (Output(name="probability", type="double"), Output(name="decision", type="boolean"))}
)
ASKED = {
    "evaluate": {"costs": {"false_positive": 1, "false_negative": 5}, "slices": ["distance"]},
    "monitor": {"slices": ["scheduled", "distance"]},
}


def window(root: Path) -> Window:
    """Version 1 is right nine times of ten; version 2 says the same of everybody. Both decide from a fifth on."""
    random, flights = np.random.default_rng(1), []
    for number in range(400):
        late, second = random.random() < 0.3, number % 4 == 3
        sure = 0.9 if late else 0.1
        probability = 0.3 if second else sure
        outputs = {"probability": probability, "decision": probability >= 0.2}
        time = START + timedelta(hours=number)
        flights.append(Flight(f"f{number}", time, outcome=float(late), version="2" if second else "1", outputs=outputs))
    log = write_log(root, flights, contract=DECIDING)
    return read_window(log, parse_usecase(USE_CASE, "here"), SPAN)


def summary(root: Path) -> Summary:
    contracts = {"1": DECIDING, "2": DECIDING}
    return summarise(
        with_losses(window(root).labelled, "binary", contracts), parse_usecase(USE_CASE | ASKED, "here"), contracts
    )


def test_metrics_come_by_version_and_arm_with_intervals_by_days(tmp_path: Path) -> None:
    found = summary(tmp_path)
    assert found.metrics["log_loss"].rows == 400
    assert list(found.by_version) == ["1", "2"]
    assert found.by_version["1"]["roc_auc"].value == 1.0
    assert found.by_version["2"]["roc_auc"].value == 0.5
    assert found.by_version["2"]["log_loss"].value > found.by_version["1"]["log_loss"].value
    assert list(found.by_arm) == ["none"]
    assert found.metrics["log_loss"].low is not None


def test_costs_follow_the_decision_that_was_answered_and_not_a_half(tmp_path: Path) -> None:
    found = summary(tmp_path).by_version["2"]
    late = found["accuracy"].value  # everybody was called late, so those that were are the right ones
    assert 0.2 < late < 0.45
    assert found["cost"].value == pytest.approx(1 - late)


def test_slices_are_those_of_the_use_case_and_the_body_is_plain_json(tmp_path: Path) -> None:
    found = summary(tmp_path)
    assert {part.column for part in found.slices.parts} == {"distance"}  # each time is its own part: too few rows
    assert orjson.loads(orjson.dumps(found.body()))["by_version"]["1"]["roc_auc"]["value"] == 1.0


def test_a_version_without_a_threshold_decides_from_a_half_on(tmp_path: Path) -> None:
    rows = with_losses(window(tmp_path).labelled, "binary", {"1": DECIDING, "2": DECIDING})
    first = rows.filter(pl.col("model_version") == "1")
    plain = with_decisions(rows, {"1": CONTRACT, "2": DECIDING})
    assert plain.filter(pl.col("model_version") == "2")["decided"].all()
    assert plain.filter(pl.col("model_version") == "1")["decided"].sum() == (first["prediction"] >= 0.5).sum()
    assert with_decisions(rows.head(0), {}).schema["decided"] == pl.Boolean
