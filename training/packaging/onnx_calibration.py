"""Calibration as ONNX: the same formulas as `training.packaging.model_code.calibrate`, in doubles."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from training.packaging.onnx_nodes import FLOAT, Nodes

SMALLEST = 1e-7


def add_calibration(nodes: Nodes, prediction: str, calibration: Mapping[str, Any], n_columns: int) -> str:
    """Add the correction of probabilities to a graph.

    Args:
        nodes: Of the graph.
        prediction: Name of doubles, (n_rows, n_columns).
        calibration: As `calibration.json` has it.
        n_columns: 1 for two classes or numbers, else one a class.

    Returns:
        The name of corrected doubles of the same shape.
    """
    if calibration["method"] == "none":
        return prediction
    add = _platt if calibration["method"] == "platt" else _isotonic
    if n_columns == 1:
        return add(nodes, prediction, calibration, 0)
    parts = []
    for column in range(n_columns):
        own = nodes.add("Gather", prediction, nodes.constant([column], np.int64), axis=1)
        parts.append(add(nodes, own, calibration, column))
    together = nodes.add("Concat", *parts, axis=1)
    total = nodes.add("ReduceSum", together, nodes.constant([1], np.int64))
    some = nodes.add("Greater", total, nodes.constant(0.0, np.float64))
    divisor = nodes.add("Where", some, total, nodes.constant(1.0, np.float64))
    shares = nodes.add("Div", together, divisor)
    return nodes.add("Where", some, shares, nodes.constant(1 / n_columns, np.float64))


def _platt(nodes: Nodes, p: str, calibration: Mapping[str, Any], column: int) -> str:
    low, high = nodes.constant(SMALLEST, np.float64), nodes.constant(1 - SMALLEST, np.float64)
    safe = nodes.add("Clip", p, low, high)
    rest = nodes.add("Sub", nodes.constant(1.0, np.float64), safe)
    logit = nodes.add("Sub", nodes.add("Log", safe), nodes.add("Log", rest))
    scaled = nodes.add("Mul", logit, nodes.constant(calibration["a"][column], np.float64))
    return nodes.add("Sigmoid", nodes.add("Add", scaled, nodes.constant(calibration["b"][column], np.float64)))


def _isotonic(nodes: Nodes, p: str, calibration: Mapping[str, Any], column: int) -> str:
    """Interpolate as numpy.interp: count the points that a value has passed, then follow that stretch's line."""
    x = np.asarray(calibration["x"][column], np.float64)
    y = np.asarray(calibration["y"][column], np.float64)
    if len(x) == 1:
        return nodes.add("Add", nodes.add("Mul", p, nodes.constant(0.0, np.float64)), nodes.constant(y[0], np.float64))
    safe = nodes.add("Clip", p, nodes.constant(x[0], np.float64), nodes.constant(x[-1], np.float64))
    passed = nodes.add("GreaterOrEqual", safe, nodes.constant(x[1:-1].reshape(1, -1), np.float64))
    counted = nodes.add("ReduceSum", nodes.add("Cast", passed, to=FLOAT), nodes.constant([1], np.int64))
    stretch = nodes.add("Cast", counted, to=7)  # int64
    widths = np.diff(x)
    slopes = np.divide(np.diff(y), widths, out=np.zeros_like(widths), where=widths > 0)
    slope, start, level = (
        nodes.add("Gather", nodes.constant(values, np.float64), stretch, axis=0) for values in (slopes, x[:-1], y[:-1])
    )
    return nodes.add("Add", nodes.add("Mul", nodes.add("Sub", safe, start), slope), level)
