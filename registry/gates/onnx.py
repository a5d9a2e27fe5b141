"""Gate: does the ONNX form, which may be served instead, answer as the model itself does?"""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.errors import IntegrityError
from flywheel.limits import Limits
from flywheel.onnx_session import FATAL, open_session
from flywheel.package import INSIDE
from registry.gates.answers import differences
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, UnmeasurableError, judged
from registry.gates.offline import features_of
from registry.gates.skew import served_answers

# A value within a float's rounding of a tree's threshold falls on the other side of it; that many rows in one may.
TOLERATED = 0.002


class Onnx:
    """Runs model.onnx over the package's sample and compares with the served model's answers.

    The number is the difference that all but two rows in a thousand keep.
    """

    name = "onnx"
    title = "ONNX form against the model"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Make features, run the graph, ask the server."""
        path = candidate.folder / INSIDE / "model.onnx"
        if not path.is_file():
            return judged(True, f"There is no ONNX form, so none can be served: {_reason(candidate)}")
        if candidate.sample is None:
            raise UnmeasurableError("There is an ONNX form but no sample to ask both forms about.")
        rows = candidate.sample.inputs
        features = features_of(
            candidate.folder / INSIDE / "features.py", rows, python=candidate.python, work=candidate.work
        )
        graph = run_graph(path.read_bytes(), features)
        served = served_answers(candidate, rows)
        shared = [name for name in graph.columns if name in served.columns]
        if not shared:
            return judged(False, f"The ONNX form answers {', '.join(graph.columns)}, nothing that the model answers.")
        gaps = differences(graph, served.select(shared))
        allowed = int(len(gaps) * TOLERATED)
        value, limit = float(np.sort(gaps)[len(gaps) - 1 - allowed]), limits.onnx
        return judged(
            limit is None or value <= limit,
            f"The ONNX form's answers to {len(gaps)} rows differ by at most {value:.2g}"
            + (
                f", {allowed} rows left out that may lie on a threshold (the most {gaps.max():.2g})."
                if allowed
                else "."
            ),
            value=value,
            limit=limit,
            details={"rows": len(gaps), "largest": float(gaps.max()), "left_out": allowed, "outputs": shared},
        )


def run_graph(content: bytes, features: pl.DataFrame) -> pl.DataFrame:
    """Run a graph on one thread over features; return its outputs of one value a row, by name.

    Raises:
        UnmeasurableError: It is no graph, or asks for other features.
    """
    try:
        session = open_session(content, log_from=FATAL)
        feeds = {entry.name: _feed(features[entry.name], entry.type) for entry in session.get_inputs()}
        outputs = session.run(None, feeds)
    except Exception as fault:  # onnxruntime's errors share no base class
        raise UnmeasurableError(f"model.onnx cannot be run: {str(fault).splitlines()[0][:200]}.") from fault
    named = zip(session.get_outputs(), outputs, strict=True)
    return pl.DataFrame({entry.name: np.asarray(values).reshape(features.height) for entry, values in named})


def _feed(values: pl.Series, kind: str) -> npt.NDArray[Any]:
    """Return a feature as the graph takes it, (n_rows, 1): text with '' or floats with NaN for missing."""
    if kind == "tensor(string)":
        return values.cast(pl.String).fill_null("").to_numpy().astype(object).reshape(-1, 1)
    return values.cast(pl.Float32).fill_null(float("nan")).to_numpy().reshape(-1, 1)


def _reason(candidate: Candidate) -> str:
    path = candidate.folder / INSIDE / "onnx.json"
    if not path.is_file():
        return "the version is no package with one."
    try:
        return str(json.loads(path.read_bytes()).get("reason", "training wrote none")).rstrip(".") + "."
    except (ValueError, AttributeError) as fault:
        raise IntegrityError(f"onnx.json is no JSON object: {fault}. Train the model again.") from fault
