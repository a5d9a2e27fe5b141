"""Versions for the benchmark of rollouts: a graph of one node behind the tiny contract, sound or failing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from flywheel.package import INSIDE
from tests.deploy.shop import REFERENCE
from tests.deploy.tiny_contract import CONTRACT
from tests.monitoring.flights_package import write_model

EXAMPLE = {"at": "2013-01-01T05:00:00Z", "chance": 0.25, "count": 2, "gap": None, "mood": "calm"}
FEATURES = '''"""Features of the benchmark's version {version}."""

import polars as pl


def features(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the one feature; a failing version fails on every other request."""
    if {failing} and int(frame["count"][0]) % 2:
        raise ValueError("a version that fails")
    return frame.select("chance")
'''


def write_version(folder: Path, document: Mapping[str, Any], version: str, *, failing: bool) -> Path:
    """Write the package of a version, with bytes of its own.

    Args:
        folder: Which must not exist.
        document: Of its usecase.yaml.
        version: Its number.
        failing: Whether every other request to it fails.
    """
    write_model(folder, REFERENCE, document, CONTRACT)
    inside = folder / INSIDE
    (inside / "features.py").write_text(FEATURES.format(version=version, failing=failing))
    (inside / "onnx.json").write_text(json.dumps({"available": True, "reason": ""}))
    (folder / "serving_input_example.json").write_text(json.dumps({"dataframe_records": [EXAMPLE]}))
    (inside / "model.onnx").write_bytes(_graph().SerializeToString())
    return folder


def _graph() -> onnx.ModelProto:
    given = helper.make_tensor_value_info("chance", TensorProto.FLOAT, [None, 1])
    answer = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])
    node = helper.make_node("Identity", ["chance"], ["probability"])
    graph = helper.make_graph([node], "tiny", [given], [answer])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
