"""The ONNX form in the package: written only when it was measured to answer as the model does.

`onnx.json` says what was measured, or why there is no `model.onnx`.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import polars as pl

from flywheel.onnx_session import open_session
from flywheel.statistics import Floats
from training.data.dataset import Columns, Matrix
from training.packaging.model_code import calibrate, encode, predict_matrix
from training.packaging.onnx_graph import OnnxParts, build_graph

TOLERANCE = 1e-5
# Rows that may differ by more: a value within a float's rounding of a threshold falls on the other side of it.
MOST_OVER = 0.001
TIMED_ROWS = 50

Question = TypeVar("Question")
Feeds = dict[str, npt.NDArray[Any]]


def write_onnx(folder: Path, parts: OnnxParts, features: pl.DataFrame) -> Mapping[str, Any]:
    """Write `model.onnx`, if there is a faithful one, and `onnx.json`; return what the latter says.

    Args:
        folder: Of the package.
        parts: Of the graph.
        features: Rows on which both forms are compared, n_rows by n_features.
    """
    try:
        report = _measured(folder / "model.onnx", parts, features)
    except Exception as fault:  # noqa: BLE001  # converters raise whatever they like; the package stands without
        report = {"available": False, "reason": f"{type(fault).__name__}: {_first_line(fault)}"}
    if not report["available"]:
        (folder / "model.onnx").unlink(missing_ok=True)
    (folder / "onnx.json").write_text(json.dumps(report, indent=1))
    return report


def onnx_inputs(features: pl.DataFrame, columns: Columns) -> Feeds:
    """Return features as the graph takes them, by name: (n_rows, 1), text with "" or floats with NaN for missing."""
    feeds: Feeds = {}
    for name, categories in zip(columns.names, columns.categories, strict=True):
        if categories is None:
            values = features[name].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        else:
            values = features[name].cast(pl.String).fill_null("").to_numpy().astype(object)
        feeds[name] = values.reshape(-1, 1)
    return feeds


def _measured(path: Path, parts: OnnxParts, features: pl.DataFrame) -> dict[str, Any]:
    path.write_bytes(build_graph(parts).SerializeToString())
    session = open_session(path)
    names = [output.name for output in parts.outputs if output.type == "double"]
    encoding = parts.columns.document()
    expected = _ask(parts, encode(features, encoding))
    found = np.column_stack(session.run(names, onnx_inputs(features, parts.columns)))
    difference = differences(found, expected)
    over = float(np.mean(difference > TOLERANCE)) if len(difference) else 0.0
    report = {
        "rows": features.height,
        "tolerance": TOLERANCE,
        "largest_difference": float(difference.max(initial=0.0)),
        "p99_difference": float(np.quantile(difference, 0.99)) if len(difference) else 0.0,
        "share_over_tolerance": over,
        **_latency(session, parts, features),
        "inputs": {one.name: one.type for one in session.get_inputs()},
        "outputs": {one.name: one.type for one in session.get_outputs()},
    }
    if over > MOST_OVER or not np.isfinite(difference).all():
        count = int(np.sum(difference > TOLERANCE))
        reason = f"{count} of {features.height} rows differ by more than {TOLERANCE:g}, the most {difference.max():.2g}"
        return {"available": False, "reason": reason, **report}
    return {"available": True, **report}


def differences(found: Floats, expected: Floats) -> Floats:
    """Return the largest difference of each row, (n_rows,): absolute up to a size of 1, relative beyond it."""
    expected = expected.reshape(len(found), -1)
    return np.asarray((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max(axis=1), dtype=np.float64)


def _ask(parts: OnnxParts, matrix: Matrix) -> Floats:
    return calibrate(predict_matrix(parts.model, matrix, parts.task), dict(parts.calibration))


def _latency(session: ort.InferenceSession, parts: OnnxParts, features: pl.DataFrame) -> dict[str, float]:
    """Measure microseconds a row, one row a call: the graph, and the model with its encoding."""
    encoding = parts.columns.document()
    rows = [features.slice(start, 1) for start in range(min(TIMED_ROWS, features.height))]
    feeds = [onnx_inputs(row, parts.columns) for row in rows]
    return {
        "onnx_microseconds": _median_time(lambda feed: session.run(None, feed), feeds),
        "model_microseconds": _median_time(lambda row: _ask(parts, encode(row, encoding)), rows),
    }


def _median_time(ask: Callable[[Question], object], questions: Sequence[Question]) -> float:
    times = []
    for question in questions:
        start = time.perf_counter()
        ask(question)
        times.append(time.perf_counter() - start)
    return round(float(np.median(times)) * 1e6, 1) if times else 0.0


def _first_line(fault: Exception) -> str:
    return (str(fault).strip() or "no message").splitlines()[0][:300]
