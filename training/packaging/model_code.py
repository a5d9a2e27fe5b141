"""The model as MLflow loads it: a file of code that travels with the version and imports nothing of Flywheel.

In goes a pandas frame of the contract's columns, out come the task's columns: binary `probability` and, when a
threshold is set, `decision`; multiclass `prediction` and `probability_<class>` for each class; regression `prediction`.

Training uses `encode`, `predict_matrix` and `calibrate` from here too, so that there is one way to predictions.
MLflow's own check of a frame is looser than the contract (it cuts 1.5 down to 1, makes null a false, answers 500 to a
time with a zone), so the signature leaves those columns to `typed` below, whose refusals `mlflow models serve` answers
with 400.
"""

import hashlib
import importlib
import importlib.util
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

EXACT = 2.0**53  # doubles beyond it do not hold every whole number


def encode(features: pl.DataFrame, columns: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Turn features into the matrix that models take: float32 (n_rows, n_features), C order.

    Args:
        features: One row of features for each raw row.
        columns: `encoding.json`'s list of {"name", "categories"}; categories (text, by code) or None for a number.

    Returns:
        Numbers as they are and the codes of categories; NaN for what is missing and for categories without a code.
    """
    matrix = np.empty((features.height, len(columns)), dtype=np.float32)
    for index, column in enumerate(columns):
        values = features[column["name"]]
        if column["categories"] is not None:
            values = values.cast(pl.String).cast(pl.Enum(column["categories"]), strict=False).to_physical()
        matrix[:, index] = values.cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return matrix


def predict_matrix(model: Any, matrix: np.ndarray[Any, Any], task: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Ask a fitted model: binary (n_rows,) of class 1, multiclass (n_rows, n_classes), regression (n_rows,)."""
    if task != "regression" and hasattr(model, "predict_proba"):
        answer = np.asarray(model.predict_proba(matrix), dtype=np.float64)
    else:
        answer = np.asarray(model.predict(matrix), dtype=np.float64)
    if task == "multiclass" or answer.ndim == 1:
        return answer
    return np.ascontiguousarray(answer[:, -1])  # one column, or the two classes of a binary model


def calibrate(
    prediction: np.ndarray[Any, np.dtype[np.float64]], calibration: dict[str, Any]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Correct probabilities, (n_rows,) or (n_rows, n_classes), by `calibration.json`.

    {"method": "none"}; {"method": "platt", "a": […], "b": […]}: 1 / (1 + exp(−(a logit p + b))) (Platt 1999);
    {"method": "isotonic", "x": [[…]], "y": [[…]]}: linear between the points. One entry a class, one for binary;
    the classes' corrected probabilities are divided by their sum.
    """
    if calibration["method"] == "none":
        return prediction
    if prediction.ndim == 1:
        return _calibrate_class(prediction, calibration, 0)
    parts = [_calibrate_class(prediction[:, k], calibration, k) for k in range(prediction.shape[1])]
    corrected = np.column_stack(parts)
    total = corrected.sum(axis=1, keepdims=True)
    return np.where(total > 0, corrected / np.where(total > 0, total, 1), 1 / prediction.shape[1])


def _calibrate_class(p: np.ndarray[Any, Any], calibration: dict[str, Any], k: int) -> np.ndarray[Any, Any]:
    if calibration["method"] == "isotonic":
        return np.asarray(np.interp(p, calibration["x"][k], calibration["y"][k]))
    safe = np.clip(p, 1e-7, 1 - 1e-7)
    logit = np.log(safe) - np.log1p(-safe)
    return np.asarray(1 / (1 + np.exp(-(calibration["a"][k] * logit + calibration["b"][k]))))


def typed(frame: pd.DataFrame, columns: list[dict[str, Any]]) -> pl.DataFrame:
    """Bring a request's frame to the contract's columns, order and types; a nullable column may be left out.

    Raises:
        MlflowException: A value has the wrong type, lies outside the column's limits, or is missing where the contract
            needs one (INVALID_PARAMETER_VALUE).
    """
    series = [_series(frame, column) for column in columns]
    for values, column in zip(series, columns, strict=True):
        _check_limits(values, column)
    return pl.DataFrame(series)


def _check_limits(values: pl.Series, column: dict[str, Any]) -> None:
    """Refuse what lies outside limits that refuse; others only flag, which the agent does."""
    if column.get("breach") != "refuse":
        return
    low, high, categories = (column.get(key) for key in ("minimum", "maximum", "categories"))
    numbers = values.dt.epoch("us") / 1e6 if column["type"] == "datetime" else values
    outside = [numbers < low] if low is not None else []
    outside += [numbers > high] if high is not None else []
    outside += [~values.is_in(categories)] if categories is not None else []
    for mask in outside:
        if mask.any():
            row = int(mask.fill_null(False).arg_max() or 0)
            raise _refusal(column["name"], row, f"{values[row]!r} is outside the contract's limits. Correct it.")


def _series(frame: pd.DataFrame, column: dict[str, Any]) -> pl.Series:
    name, kind = column["name"], column["type"]
    values = frame[name] if name in frame else pd.Series([None] * len(frame), dtype=object)
    missing = pd.isna(values).to_numpy()
    if missing.any() and not column["nullable"]:
        raise _refusal(name, int(missing.argmax()), "is missing, but needs a value. Send one.")
    wish, plain = PLAIN[kind](values, missing)
    wrong = next((row for row, value in enumerate(plain) if value is REFUSED), None) if wish else None
    if wrong is not None:
        raise _refusal(name, wrong, f"takes {wish}, not {_shown(values.iloc[wrong])}. Send {wish}.")
    return pl.Series(name, plain, dtype=TYPES[kind])


class _Refused:
    """Stands where a value was refused."""


REFUSED = _Refused()


def _refusal(name: str, row: int, reason: str) -> MlflowException:
    return MlflowException(f"Column '{name}', row {row}: {reason}", error_code=INVALID_PARAMETER_VALUE)


def _shown(value: object) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)[:60]


def _each(values: pd.Series, missing: np.ndarray[Any, Any], convert: Any) -> list[Any]:
    return [None if gone else convert(value) for value, gone in zip(values, missing, strict=True)]


def _long(values: pd.Series, missing: np.ndarray[Any, Any]) -> tuple[str, Any]:
    if isinstance(values.dtype, np.dtype) and values.dtype.kind == "i":
        return "", values.to_numpy()
    return "a whole number", _each(values, missing, _whole)


def _whole(value: Any) -> Any:
    if isinstance(value, (float, np.floating)) and value.is_integer() and abs(float(value)) <= EXACT:
        return int(value)
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        return REFUSED
    return int(value) if -(2**63) <= int(value) < 2**63 else REFUSED


def _double(values: pd.Series, missing: np.ndarray[Any, Any]) -> tuple[str, Any]:
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf":
        numbers = values.to_numpy().astype(np.float64)
        if not np.isinf(numbers).any():
            return "", pl.Series(numbers).fill_nan(None)
    return "a finite number", _each(values, missing, _finite)


def _finite(value: Any) -> Any:
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        return REFUSED
    return float(value) if np.isfinite(value) else REFUSED


def _string(values: pd.Series, missing: np.ndarray[Any, Any]) -> tuple[str, Any]:
    return "text", _each(values, missing, lambda value: value if isinstance(value, str) else REFUSED)


def _boolean(values: pd.Series, missing: np.ndarray[Any, Any]) -> tuple[str, Any]:
    truths = (bool, np.bool_)
    return "true or false", _each(values, missing, lambda value: bool(value) if isinstance(value, truths) else REFUSED)


def _datetime(values: pd.Series, missing: np.ndarray[Any, Any]) -> tuple[str, Any]:
    if isinstance(values.dtype, np.dtype) and values.dtype.kind == "M":
        return "", values.to_numpy().astype("datetime64[us]")
    return "a time as ISO 8601 text", _each(values, missing, _moment)


def _moment(value: Any) -> Any:
    """Return a time without a zone, in UTC; a time without a zone is in UTC already."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(moment, datetime):
            return REFUSED
        if isinstance(moment, pd.Timestamp):
            moment = moment.floor("us").to_pydatetime()
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo is not None else moment
    except (ValueError, OverflowError):
        return REFUSED


TYPES = {
    "long": pl.Int64(),
    "double": pl.Float64(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "datetime": pl.Datetime("us"),
}
PLAIN = {"long": _long, "double": _double, "string": _string, "boolean": _boolean, "datetime": _datetime}


def doubled(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a lone row twice, as training does: Polars computes a lone value otherwise, in the last bit.

    It multiplies a column by 1/3, but divides a lone value, and it knows two equal rows made by `concat` of frames for
    one value. Joined as series they are a column like any other.
    """
    return pl.DataFrame([pl.concat([column, column]) for column in frame.get_columns()])


def load_features(path: Path) -> Any:
    """Import the feature file under a name made from its content, so that two versions live in one process."""
    name = f"flywheel_features_{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def load_native(folder: Path, flavor: str, task: str) -> Any:
    """Load a stored model by its flavour: its own object, or MLflow's pyfunc where that object cannot be asked.

    One thread a call: the agent sends batches, and a worker shares its machine with others.
    """
    native = importlib.import_module(f"mlflow.{flavor}").load_model(str(folder))
    if not hasattr(native, "predict_proba" if task != "regression" and flavor == "sklearn" else "predict"):
        return mlflow.pyfunc.load_model(str(folder))
    use_one_thread(native)
    return native


def use_one_thread(model: Any) -> None:
    """Set what scikit-learn calls n_jobs to 1, in a model and in the steps of a pipeline."""
    settings = model.get_params() if hasattr(model, "get_params") else {}
    model_threads = {name: 1 for name in settings if name.split("__")[-1] == "n_jobs"}
    if model_threads:
        model.set_params(**model_threads)


def answer(
    prediction: np.ndarray[Any, np.dtype[np.float64]], task: str, classes: list[str], threshold: float | None
) -> pd.DataFrame:
    """Name calibrated predictions, (n_rows,) or (n_rows, n_classes), as the model's outputs."""
    if task == "regression":
        return pd.DataFrame({"prediction": prediction})
    if task == "multiclass":
        chosen = np.asarray(classes, dtype=object)[prediction.argmax(axis=1)]
        shares = {f"probability_{name}": prediction[:, code] for code, name in enumerate(classes)}
        return pd.DataFrame({"prediction": chosen} | shares)
    outputs: dict[str, Any] = {"probability": prediction}
    if threshold is not None:
        outputs["decision"] = prediction >= threshold
    return pd.DataFrame(outputs)


class FlywheelModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow has no types
    """Feature function, encoding, model, calibration and threshold of one version."""

    def load_context(self, context: Any) -> None:
        """Read the package folder that was logged with the model."""
        package = Path(context.artifacts["package"])
        contract, model, self.encoding, self.calibration, decision = (
            json.loads((package / f"{name}.json").read_text())
            for name in ("contract", "model", "encoding", "calibration", "decision")
        )
        self.columns = contract["columns"]
        self.task, self.classes, self.threshold = model["task"], model["classes"], decision["threshold"]
        self.features = load_features(package / "features.py").features
        self.model = load_native(package / "model", model["flavor"], self.task)

    def matrix(self, model_input: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return what the model is asked with, (n_rows, n_features), for a frame of the contract's columns."""
        raw = typed(model_input, self.columns)
        try:
            features = self.features(doubled(raw) if raw.height == 1 else raw)
            return encode(features.head(raw.height), self.encoding)
        except Exception as fault:  # the user's own code: whatever it raises on a valid row is the model's fault
            raise MlflowException(f"The feature function failed: {fault}", error_code=INTERNAL_ERROR) from fault

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return n_rows by the task's outputs.

        Raises:
            MlflowException: The frame breaks the contract (a 400), or the feature function fails (a 500).
        """
        prediction = predict_matrix(self.model, self.matrix(model_input), self.task)
        return answer(calibrate(prediction, self.calibration), self.task, self.classes, self.threshold)


mlflow.models.set_model(FlywheelModel())
