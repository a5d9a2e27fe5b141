"""Gates that ask the candidate's server: signature, skew, ONNX, robustness, latency, memory."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import onnx
import polars as pl
import pytest
import yaml
from onnx import numpy_helper

from flywheel.compatibility import Inputs, input_breaks
from flywheel.package import INSIDE
from registry.gates.asking import SERVING_EXAMPLE
from registry.gates.catalogue import ASKING, OWN
from registry.gates.evidence import Outcome
from registry.gates.gate import Gate
from registry.gates.latency import Latency
from registry.gates.memory import Memory
from registry.gates.onnx import Onnx
from registry.gates.robustness import Robustness, odd_values
from registry.gates.server import ModelServer
from registry.gates.signature import Signature
from registry.gates.skew import Skew
from tests.registry.gates.folders import Bench, copy, edited, resample, spoiled


@pytest.mark.parametrize("gate", [gate for gate in OWN if gate.name in ASKING], ids=lambda gate: gate.name)
def test_the_intact_package_passes(bench: Bench, package: Path, gate: Gate) -> None:
    found = bench(gate, package, latency_p99_ms=5000)
    assert found.outcome == Outcome.PASS, found.sentence


@pytest.mark.parametrize("gate", [gate for gate in OWN if gate.name in ASKING], ids=lambda gate: gate.name)
def test_a_server_that_does_not_start_is_no_verdict_on_the_version(
    broken_bench: Bench, package: Path, gate: Gate
) -> None:
    found = broken_bench(gate, package)
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "The model's server ended with code" in found.sentence


def test_a_plain_mlflow_model_passes_what_it_can(plain: Path, tmp_path: Path) -> None:
    server = ModelServer(plain, tmp_path, sys.executable)
    bench = Bench(server, tmp_path)
    try:
        for gate in (Signature(), Skew(), Onnx(), Robustness(), Memory(), Latency()):
            found = bench(gate, plain, latency_p99_ms=5000)
            assert found.outcome == Outcome.PASS, f"{gate.name}: {found.sentence}"
    finally:
        server.close()


def test_drifted_predictions_are_skew(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = copy(package, tmp_path)
    drift = pl.when(pl.int_range(pl.len()) == 17).then(0.02).otherwise(0.0)
    resample(folder, "answers.parquet", lambda rows: rows.with_columns(probability=pl.col("probability") + drift))
    found = bench(Skew(), folder)
    assert found.outcome == Outcome.FAIL
    assert found.value == pytest.approx(0.02)
    assert found.details is not None
    assert (found.details["worst_row"], found.details["rows_over_limit"]) == (17, 1)


def test_without_recorded_answers_the_model_is_compared_with_itself(
    bench: Bench, package: Path, tmp_path: Path
) -> None:
    folder = copy(package, tmp_path)
    (folder / INSIDE / "answers.parquet").unlink()
    found = bench(Skew(), folder)
    assert found.outcome == Outcome.PASS
    assert "training recorded none" in found.sentence


def test_answers_of_other_rows_could_not_run(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = copy(package, tmp_path)
    resample(folder, "answers.parquet", lambda rows: rows.head(3))
    assert bench(Skew(), folder).outcome == Outcome.COULD_NOT_RUN


def test_a_tampered_onnx_form_fails(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = copy(package, tmp_path)
    path = folder / INSIDE / "model.onnx"
    path.write_bytes(tampered(onnx.load_from_string(path.read_bytes())).SerializeToString())
    found = bench(Onnx(), folder)
    assert found.outcome == Outcome.FAIL, found.sentence
    assert found.value is not None
    assert found.value > 1e-3


def tampered(graph: Any) -> Any:
    """Shift what the trees add up to."""
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("target_weights", "class_weights", "nodes_values", "leaf_weights"):
                if attribute.floats:
                    attribute.floats[:] = [2 * value for value in attribute.floats]
                if attribute.HasField("t"):
                    attribute.t.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(attribute.t)))
    return graph


def test_an_onnx_file_that_is_no_graph_could_not_run(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = copy(package, tmp_path)
    (folder / INSIDE / "model.onnx").write_bytes(b"no graph")
    found = bench(Onnx(), folder)
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "model.onnx cannot be run" in found.sentence


def test_a_package_without_an_onnx_form_passes_with_its_reason(bench: Bench, package: Path, tmp_path: Path) -> None:
    reason = {"available": False, "reason": "ValueError: no converter"}
    folder = spoiled(package, tmp_path, onnx_json=lambda text: json.dumps(reason))
    (folder / INSIDE / "model.onnx").unlink()
    found = bench(Onnx(), folder)
    assert found.outcome == Outcome.PASS
    assert "ValueError: no converter." in found.sentence


def test_a_model_without_a_signature_fails(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = copy(package, tmp_path)
    document = yaml.safe_load((folder / "MLmodel").read_text())
    del document["signature"]
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    found = bench(Signature(), folder)
    assert found.outcome == Outcome.FAIL
    assert "no inputs and no outputs" in found.sentence


def test_an_example_that_the_model_refuses_fails(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = copy(package, tmp_path)
    path = folder / SERVING_EXAMPLE
    question = json.loads(path.read_text())
    question["dataframe_split"]["data"][0][3] = "seven"  # the rank
    path.write_text(json.dumps(question))
    found = bench(Signature(), folder)
    assert found.outcome == Outcome.FAIL
    assert "refuses its own input example" in found.sentence
    path.unlink()
    assert "no input example" in bench(Signature(), folder).sentence


def test_callers_of_the_champion_must_be_able_to_stay(bench: Bench, package: Path, tmp_path: Path) -> None:
    def older(document: Any) -> None:
        document["columns"] = [one for one in document["columns"] if one["name"] not in ("rank", "colour")]
        document["columns"].append({"name": "mood", "type": "string", "nullable": True})
        document["outputs"] = [{"name": "chance", "type": "double"}]

    champion = spoiled(package, tmp_path, contract_json=edited(older))
    found = bench(Signature(), package, champion=champion)
    assert found.outcome == Outcome.FAIL
    for clause in (
        "input 'mood' is gone",
        "input 'rank' is new and required",
        "output 'chance' of the champion is gone",
        "output 'probability' is new",
    ):
        assert clause in found.sentence


def test_a_new_input_that_may_be_missing_breaks_nobody(bench: Bench, package: Path, tmp_path: Path) -> None:
    def older(document: Any) -> None:
        document["columns"] = [one for one in document["columns"] if one["name"] != "colour"]

    found = bench(Signature(), package, champion=spoiled(package, tmp_path, contract_json=edited(older)))
    assert found.outcome == Outcome.PASS
    assert "new inputs that may be missing: colour" in found.sentence


@pytest.mark.parametrize(
    ("now", "then", "said"),
    [
        (Inputs("a", "double", True), Inputs("a", "long", True), "input 'a' was long and is double"),
        (Inputs("a", "double", False), Inputs("a", "double", True), "input 'a' may no longer be missing"),
        (Inputs("a", "double", True, maximum=1), Inputs("a", "double", True), "input 'a' has tighter limits"),
        (
            Inputs("a", "string", True, categories=("x",)),
            Inputs("a", "string", True, categories=("x", "y")),
            "input 'a' has tighter limits",
        ),
    ],
)
def test_what_the_champion_accepts_must_be_accepted(now: Inputs, then: Inputs, said: str) -> None:
    assert input_breaks((now,), (then,)) == [said]
    assert input_breaks((now,), (now,)) == []


def test_rows_that_the_contract_allows_and_the_model_refuses_fail(bench: Bench, package: Path, tmp_path: Path) -> None:
    def promise(document: Any) -> None:
        for column in document["columns"]:
            column["nullable"] = column["nullable"] or column["name"] == "rank"

    found = bench(Robustness(), spoiled(package, tmp_path, contract_json=edited(promise)))
    assert found.outcome == Outcome.FAIL
    assert "rank missing: 400 Column 'rank'" in found.sentence


def test_a_behaviour_that_failed_in_training_fails(bench: Bench, package: Path, tmp_path: Path) -> None:
    def failed(document: Any) -> None:
        document["behaviours"][0]["passed"] = False

    folder = spoiled(package, tmp_path, evaluation_json=edited(failed))
    found = bench(Robustness(), folder)
    assert found.outcome == Outcome.FAIL
    assert "behaviour 'larger is likelier'" in found.sentence
    assert bench(Robustness(), folder, behaviours_failed=1).outcome == Outcome.PASS


def test_odd_values_keep_to_the_limits_of_their_input() -> None:
    bounded = Inputs("a", "long", True, minimum=-2.5, maximum=7)
    assert [value for _, value in odd_values(bounded)] == [None, -2, 0, 7]
    assert odd_values(Inputs("a", "string", False, categories=("x",))) == []
    times = Inputs("a", "datetime", False, minimum=0.0, maximum=1e9)
    assert [name for name, _ in odd_values(times)] == ["a at 1970"]


def test_a_slow_model_fails_after_a_second_round(bench: Bench, package: Path) -> None:
    found = bench(Latency(), package, latency_p99_ms=0.01)
    assert found.outcome == Outcome.FAIL
    assert found.details is not None
    assert len(found.details["p99_of_each_round_ms"]) == 2
    assert found.low is not None
    assert found.high is not None
    assert found.low <= (found.value or 0) <= found.high


def test_a_large_model_fails(bench: Bench, package: Path) -> None:
    found = bench(Memory(), package, memory_mb=1)
    assert found.outcome == Outcome.FAIL
    assert (found.value or 0) > 100  # MB: an interpreter with MLflow and pandas


def test_without_anything_to_ask_latency_could_not_run(bench: Bench, plain: Path, tmp_path: Path) -> None:
    folder = copy(plain, tmp_path)
    (folder / SERVING_EXAMPLE).unlink()
    found = bench(Latency(), folder)
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "input example" in found.sentence


def test_measuring_leaves_no_process_and_no_bytecode(package: Path, tmp_path: Path) -> None:
    assert not list(package.rglob("__pycache__"))
    server = ModelServer(tmp_path, tmp_path, shutil.which("false") or "false")
    server.start()
    server.close()
    assert server.memory_mb() == 0
