"""The ONNX form of a version: from features, one input each, to its outputs, in one graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.compose
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from xgboost import XGBClassifier, XGBRegressor

from flywheel.contract import Output
from flywheel.errors import DataError
from flywheel.usecase import Task
from training.data.dataset import Columns
from training.packaging.onnx_calibration import add_calibration
from training.packaging.onnx_nodes import BOOL, DOUBLE, FLOAT, ML, OPSET, STRING, Nodes
from training.packaging.onnx_trees import add_histogram_boosting, is_histogram_boosting

NO_ZIPMAP = {"nocl": [True, False], "zipmap": [True, False, "columns"]}

update_registered_converter(
    XGBClassifier,
    "FlywheelXGBClassifier",
    calculate_linear_classifier_output_shapes,
    convert_xgboost,
    options=NO_ZIPMAP,
)
update_registered_converter(
    XGBRegressor, "FlywheelXGBRegressor", calculate_linear_regressor_output_shapes, convert_xgboost
)


@dataclass(frozen=True)
class OnnxParts:
    """What the graph is made of: the fitted model, its features, and what follows its prediction."""

    model: Any
    columns: Columns
    task: Task
    classes: tuple[str, ...]
    calibration: Mapping[str, Any]
    threshold: float | None
    outputs: tuple[Output, ...]

    @property
    def n_predictions(self) -> int:
        """Columns of a prediction: one a class, or one."""
        return len(self.classes) if self.task == "multiclass" else 1


def build_graph(parts: OnnxParts) -> onnx.ModelProto:
    """Make the graph: inputs of (n_rows, 1) by the features' names, outputs of (n_rows,) by the contract's.

    A category is text with "" for missing, a number is a float with NaN for missing.

    Raises:
        DataError: A feature cannot be told apart in this form.
        Exception: Whatever the converter of the model's family raises.
    """
    nodes = Nodes(trees=5 if is_histogram_boosting(parts.model) else 3)
    matrix = _add_matrix(nodes, parts.columns)
    prediction = _add_model(nodes, matrix, parts)
    corrected = add_calibration(nodes, prediction, parts.calibration, parts.n_predictions)
    _add_outputs(nodes, corrected, parts)
    return nodes.model()


def _add_matrix(nodes: Nodes, columns: Columns) -> str:
    """Turn the features into the matrix that models take: floats, codes for categories, NaN for missing."""
    parts = []
    for name, categories in zip(columns.names, columns.categories, strict=True):
        if categories is None:
            parts.append(nodes.input(name, FLOAT))
            continue
        if "" in categories:
            raise DataError(f"Feature '{name}' has \"\" as a category, which here stands for missing. Give it a name.")
        text = nodes.input(name, STRING)
        known = categories or ("",)  # the operator wants a key, and "" has no code either way
        codes = [float(code) if categories else float("nan") for code in range(len(known))]
        settings = {"keys_strings": list(known), "values_floats": codes, "default_float": float("nan")}
        parts.append(nodes.add("LabelEncoder", text, domain=ML, **settings))
    return nodes.add("Concat", *parts, axis=1)


def _add_model(nodes: Nodes, matrix: str, parts: OnnxParts) -> str:
    """Add the model; return doubles of (n_rows, n_predictions)."""
    if is_histogram_boosting(parts.model):
        return add_histogram_boosting(nodes, matrix, parts.model, parts.columns)
    width = len(parts.columns.names)
    options = {} if parts.task == "regression" else {"options": {id(parts.model): {"zipmap": False}}}
    converted = convert_sklearn(
        parts.model,
        initial_types=[("features", FloatTensorType([None, width]))],
        target_opset={"": OPSET, ML: nodes.trees},
        **options,
    )
    named = onnx.compose.add_prefix(converted, "model/")
    numbers = nodes.include(named, matrix, 0 if parts.task == "regression" else 1)
    answer = nodes.add("Cast", numbers, to=DOUBLE)
    if parts.task == "binary":
        return nodes.add("Gather", answer, nodes.constant([1], np.int64), axis=1)
    return answer


def _add_outputs(nodes: Nodes, prediction: str, parts: OnnxParts) -> None:
    names = [output.name for output in parts.outputs]
    if parts.task == "multiclass":
        place = nodes.add("ArgMax", prediction, axis=1, keepdims=1)
        known = nodes.constant(np.asarray(parts.classes, dtype=object), object)
        nodes.output(nodes.add("Gather", known, place, axis=0), names[0], STRING)
        for code, name in enumerate(names[1:]):
            nodes.output(nodes.add("Gather", prediction, nodes.constant([code], np.int64), axis=1), name, DOUBLE)
        return
    nodes.output(prediction, names[0], DOUBLE)
    if parts.task == "binary" and parts.threshold is not None:
        decision = nodes.add("GreaterOrEqual", prediction, nodes.constant(parts.threshold, np.float64))
        nodes.output(decision, names[1], BOOL)
