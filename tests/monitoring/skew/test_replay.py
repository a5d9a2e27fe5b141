"""Logged inputs, asked again of the package, show what was served otherwise: which feature, in which row first."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
import orjson
import polars as pl
import pytest
from onnx import TensorProto, helper

from flywheel.contract import Column, Contract
from flywheel.errors import DataError, IntegrityError
from flywheel.fields import read_fields
from flywheel.package import INSIDE, read_package
from flywheel.profile import Reference
from monitoring.skew.agreement import Agreement, replay_rows
from monitoring.skew.replay import Replayer
from tests.monitoring.flights_package import USE_CASE, write_model

START = datetime(2013, 4, 1)
CONTRACT = Contract(
    columns=(
        Column(name="scheduled", type="datetime", nullable=False),
        Column(name="distance", type="double", nullable=True),
        Column(name="hour", type="long", nullable=True),
    ),
    event_time="scheduled",
    entity="flight_key",
)
FEATURES = """
import polars as pl

def features(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(miles=pl.col("distance") / 100, late=(pl.col("hour") > 17).cast(pl.Float64))
"""


def write_package(folder: Path, features: str = FEATURES, *, graph: bool = True) -> Replayer:
    """A model that answers with 1 / (1 + e^−(miles − 5 + late))."""
    model = write_model(folder / "1-new", Reference(loss=0.5, standard_error=0.1, rows=300), USE_CASE, CONTRACT)
    inside = model / INSIDE
    (inside / "features.py").write_text(features)
    (inside / "onnx.json").write_bytes(orjson.dumps({"available": graph, "reason": "no graph"}))
    if graph:
        column, five = [None, 1], helper.make_tensor("five", TensorProto.FLOAT, [1], [5.0])
        nodes = [
            helper.make_node("Add", ["miles", "late"], ["sum"]),
            helper.make_node("Sub", ["sum", "five"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["probability"]),
        ]
        made = helper.make_graph(
            nodes,
            "flights",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, column) for name in ("miles", "late")],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, column)],
            [five],
        )
        whole = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(whole, inside / "model.onnx")
    return Replayer.open(read_package(model))


def served(rows: int = 50) -> pl.DataFrame:
    """Rows of the log as that model answered them, the last hour of each day late, in no order."""
    numbers = np.arange(rows)
    distance, hour = 200.0 + 10.0 * numbers, numbers % 24
    logit = distance / 100 + (hour > 17) - 5
    frame = pl.DataFrame(
        {
            "prediction_id": [f"p{number:03}" for number in numbers],
            "event_time": [START + timedelta(hours=int(number)) for number in numbers],
            "distance": distance,
            "hour": hour,
            "probability": 1 / (1 + np.exp(-logit)),
            "online_features": [orjson.dumps({"miles": value / 100}).decode() for value in distance.tolist()],
        },
        schema_overrides={"event_time": pl.Datetime("us")},
    )
    inputs = pl.struct(pl.col("event_time").alias("scheduled"), "distance", "hour").alias("inputs")
    return frame.select(
        "prediction_id", "event_time", inputs, pl.struct("probability").alias("outputs"), "online_features"
    ).sample(fraction=1, shuffle=True, seed=1)


def with_output(rows: pl.DataFrame, ids: list[str], value: float) -> pl.DataFrame:
    chosen = pl.col("prediction_id").is_in(ids)
    changed = pl.when(chosen).then(value).otherwise(pl.col("outputs").struct.field("probability"))
    return rows.with_columns(pl.struct(changed.alias("probability")).alias("outputs"))


def replayed(tmp_path: Path, rows: pl.DataFrame, features: str = FEATURES) -> Agreement:
    return replay_rows("1", rows, write_package(tmp_path, features))


def test_what_was_served_rightly_agrees(tmp_path: Path) -> None:
    found = replayed(tmp_path, served())
    assert found.agrees
    assert (found.rows, found.features, found.outputs) == (50, 50, True)
    assert found.reason == "50 rows of version 1, replayed, give the same features and answers as were served."


def test_the_feature_that_was_served_otherwise_is_named_with_its_first_row(tmp_path: Path) -> None:
    stale = pl.when(pl.col("prediction_id") >= "p030").then(pl.lit('{"miles": 1.5}')).otherwise("online_features")
    found = replayed(tmp_path, served().with_columns(stale.alias("online_features")))
    (difference,) = found.differences
    assert (difference.kind, difference.name, difference.rows, difference.compared) == ("feature", "miles", 20, 50)
    assert (difference.prediction_id, difference.served, difference.replayed) == ("p030", "1.5", "5.0")
    assert difference.largest == pytest.approx(6.9 - 1.5)
    assert "feature 'miles'" in found.reason
    assert "first in prediction p030 of 2013-04-02 06:00: served 1.5, replayed 5.0" in found.reason
    assert found.body()["differences"][0]["event_time"] == "2013-04-02T06:00:00"


def test_an_answer_that_the_model_would_not_give_is_found(tmp_path: Path) -> None:
    found = replayed(tmp_path, with_output(served(), ["p041", "p007"], 0.99))
    (difference,) = found.differences
    assert (difference.kind, difference.name, difference.rows) == ("output", "probability", 2)
    assert difference.prediction_id == "p007"


def test_answers_that_were_recalibrated_are_compared_as_the_model_gave_them(tmp_path: Path) -> None:
    rows, shift = served(), pl.when(pl.col("prediction_id") >= "p020").then(0.5)
    chance = pl.col("outputs").struct.field("probability")
    odds = chance / (1 - chance) * shift.otherwise(0.0).exp()
    moved = rows.with_columns(pl.struct((odds / (1 + odds)).alias("probability")).alias("outputs"))
    assert not replayed(tmp_path / "untold", moved).agrees
    assert replayed(tmp_path, moved.with_columns(shift.alias("shift"))).agrees
    wrong = replayed(tmp_path / "wrong", rows.with_columns(shift.alias("shift")))
    assert wrong.differences[0].rows == 30


def test_the_last_bits_of_single_precision_are_no_difference(tmp_path: Path) -> None:
    rows = served()
    near = pl.struct((pl.col("outputs").struct.field("probability") * (1 + 3e-7)).alias("probability")).alias("outputs")
    assert replayed(tmp_path, rows.with_columns(near)).agrees


def test_training_code_that_has_changed_since_shows_in_the_features(tmp_path: Path) -> None:
    found = replayed(tmp_path, served(), FEATURES.replace("/ 100", "/ 161"))
    assert [difference.kind for difference in found.differences] == ["feature", "output"]
    assert found.differences[0].rows == 50


def test_without_a_graph_the_features_alone_are_compared(tmp_path: Path) -> None:
    rows = with_output(served(), ["p000"], 0.99)
    found = replay_rows("1", rows, write_package(tmp_path, graph=False))
    assert (found.agrees, found.outputs) == (True, False)
    assert "it has no graph" in found.reason


def test_one_row_is_asked_as_the_agent_asks_it_and_none_is_no_fault(tmp_path: Path) -> None:
    replayer = write_package(tmp_path)
    assert replay_rows("1", served(1), replayer).agrees
    inputs = read_fields(served(1), "inputs", {column.name: column.type for column in CONTRACT.columns})
    again = replayer.replay(inputs)
    assert again.outputs is not None
    assert again.features.height == again.outputs.height == 1
    assert replay_rows("1", served().head(0), replayer).reason == "Version 1 answered nothing in this window."


def test_missing_inputs_stay_missing(tmp_path: Path) -> None:
    rows = served(3).drop("online_features")
    empty = pl.struct(
        pl.col("event_time").alias("scheduled"), pl.lit(None, pl.Float64).alias("distance"), pl.lit(3).alias("hour")
    )
    found = replay_rows("1", rows.with_columns(empty.alias("inputs")), write_package(tmp_path))
    assert not found.agrees  # the graph answers NaN, which nobody was served
    assert found.differences[0].replayed == "nan"


def test_features_that_fail_or_lose_rows_are_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fails on logged inputs: ColumnNotFoundError"):
        replayed(tmp_path / "a", served(), FEATURES.replace('"hour"', '"minute"'))
    with pytest.raises(DataError, match=r"made 25 rows of 50"):
        replayed(tmp_path / "b", served(), FEATURES.replace("frame.select", "frame.head(25).select"))
    with pytest.raises(IntegrityError, match="cannot be loaded"):
        write_package(tmp_path / "c", "x = 1")
