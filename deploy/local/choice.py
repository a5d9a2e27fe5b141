"""Which backend serves a version, and why: a pure rule over what serving.yaml asks and what was measured at deploy.

ONNX Runtime in the agent is taken only where it gave the answers of MLflow's worker on the package's own rows, and was
faster. An operator may demand a backend; nobody may demand one that answers something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Name = Literal["mlflow", "onnx"]
Asked = Literal["auto", "mlflow", "onnx"]


@dataclass(frozen=True)
class Measurement:
    """Both backends on the same rows.

    Args:
        parity: Whether both gave the same answers.
        difference: The largest difference found; None where it could not be had.
        mlflow_ms: Median milliseconds of one row through an MLflow worker.
        onnx_ms: The same through ONNX Runtime; None where it cannot run this package.
        reason: Why there is no parity; '' where there is.
        numbers: All that was measured, for the record.
    """

    parity: bool
    difference: float | None = None
    mlflow_ms: float | None = None
    onnx_ms: float | None = None
    reason: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """The backend that serves a version; None: it must not serve.

    Args:
        asked: What serving.yaml asked for.
        backend: What was chosen.
        reason: Why, in a sentence.
        numbers: What the reason rests on.
    """

    asked: Asked
    backend: Name | None
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


def without_measuring(asked: Asked, *, has_onnx: bool) -> Choice | None:
    """Choose where nothing needs to be measured; None where it does."""
    if asked == "mlflow":
        return Choice(asked, "mlflow", "serving.yaml asks for MLflow's worker.")
    if has_onnx:
        return None
    if asked == "onnx":
        return Choice(asked, None, "serving.yaml asks for ONNX, but the package has no ONNX form: see its onnx.json.")
    return Choice(asked, "mlflow", "The package has no ONNX form.")


def choose(asked: Asked, measured: Measurement) -> Choice:
    """Choose from what was measured."""
    if not measured.parity:
        broken = f"ONNX does not answer as MLflow's worker does: {measured.reason or 'no parity'}"
        if asked == "onnx":
            advice = "Set `backend: mlflow` or `auto` in serving.yaml, or train the version again."
            return Choice(asked, None, f"serving.yaml asks for ONNX. {broken}. {advice}", measured.numbers)
        return Choice(asked, "mlflow", f"{broken}.", measured.numbers)
    compared = _compared(measured)
    if asked == "onnx":
        return Choice(asked, "onnx", f"serving.yaml asks for ONNX, and both answer alike{compared}.", measured.numbers)
    if measured.onnx_ms is None or measured.mlflow_ms is None or measured.onnx_ms >= measured.mlflow_ms:
        return Choice(asked, "mlflow", f"Both answer alike, and ONNX is not faster{compared}.", measured.numbers)
    return Choice(asked, "onnx", f"Both answer alike, and ONNX is faster{compared}.", measured.numbers)


def _compared(measured: Measurement) -> str:
    if measured.onnx_ms is None or measured.mlflow_ms is None:
        return ""
    return f" (one row takes {measured.onnx_ms:.2f} ms against {measured.mlflow_ms:.2f} ms)"
