"""What the serving benchmark makes of its measurements: nobody is beaten who was not measured."""

import math

from benchmarks.load import Measured
from benchmarks.serving import MOST, others, ratios
from benchmarks.serving_peers import MLFLOW, RAW, RIVALS
from benchmarks.serving_rounds import AGENT_MLFLOW, AGENT_ONNX, CONNECTIONS, Table
from flywheel.goals import Goal

FASTAPI, MLSERVER = RIVALS[1].name, RIVALS[2].name


def measured(rate: int, milliseconds: float) -> Measured:
    result = Measured(seconds=1.0)
    result.latencies = [milliseconds / 1000] * rate
    result.codes = [200] * rate
    result.statuses["200"] = rate
    return result


def table(**rates: int) -> Table:
    names = {"mlflow": MLFLOW.name, "agent": AGENT_MLFLOW, "raw": RAW.name, "onnx": AGENT_ONNX}
    names |= {"fastapi": FASTAPI, "mlserver": MLSERVER}
    filled = Table()
    for key, rate in rates.items():
        for connections in CONNECTIONS:
            filled.add(names[key], connections, measured(rate, 1000 / rate), wrong=0)
    return filled


def named(goals: list[Goal]) -> dict[str, Goal]:
    return {one.name: one for one in goals}


def test_ratios_are_of_the_same_run_and_against_the_best_peer() -> None:
    goals = named(ratios(table(mlflow=100, agent=4500, raw=2000, onnx=6000, fastapi=1500, mlserver=1200)))
    assert goals["agent_vs_mlflow_throughput"].value == 45
    assert goals["onnx_vs_best_peer"].value == 4
    assert goals["onnx_vs_raw_limit"].value == 3
    assert all(one.met for one in goals.values())


def test_what_was_not_measured_misses_its_goal() -> None:
    goals = named([*ratios(table(mlflow=100)), *others(Table(), {})])
    assert all(math.isnan(one.value) and not one.met for one in goals.values())
    assert len(goals) == 12


def test_who_answered_wrongly_has_no_figures() -> None:
    filled = table(mlflow=100, agent=4500, raw=2000, onnx=6000, fastapi=1500)
    filled.failed[AGENT_ONNX] = "3 answers are not what the model says"
    assert filled.value(AGENT_ONNX, MOST, "requests_per_second") is None
    assert not named(ratios(filled))["onnx_vs_raw_limit"].met


def test_rounds_are_reported_by_their_median_and_spread() -> None:
    filled = table(raw=1000)
    for rate in (900, 2000):
        filled.add(RAW.name, 1, measured(rate, 1.0), wrong=0)
    row = next(one for one in filled.rows() if one["connections"] == 1)
    assert row["requests_per_second"] == 1000
    assert row["spread"] == [900, 2000]
