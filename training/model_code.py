"""The model as MLflow loads it: a file of code that travels with the version and imports nothing of Flywheel.

In goes a pandas frame of the contract's columns, out comes one column `probability`: that the label is 1. Training
uses `estimator_input` from here too, so there is one way from features to an estimator.
"""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import skops.io

# Everything else that skops meets in a file is refused: loading must not run what somebody put there.
TRUSTED = ["numpy.dtype", "xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]
TYPES = {
    "long": pl.Int64(),
    "double": pl.Float64(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "datetime": pl.Datetime("us"),
}


def estimator_input(features: pl.DataFrame) -> pd.DataFrame:
    """Turn features into what estimators take: doubles with NaN for missing, text with "" for missing."""
    text = [name for name, kind in features.schema.items() if kind == pl.String]
    return features.with_columns(
        pl.exclude(text).cast(pl.Float64).fill_null(float("nan")) if len(text) < features.width else [],
        pl.col(text).fill_null(""),
    ).to_pandas()


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
        return answer[:, 1] if task == "binary" else answer
    return np.asarray(model.predict(matrix), dtype=np.float64)


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
    """Bring a request's frame to the contract's columns, order and types; a column left out is missing."""
    empty = [None] * len(frame)
    return pl.DataFrame(
        [_series(column["name"], frame.get(column["name"], empty), column["type"]) for column in columns]
    )


def _series(name: str, values: Any, kind: str) -> pl.Series:
    if kind == "datetime":
        return pl.Series(name, pd.to_datetime(values).to_numpy().astype("datetime64[us]"))
    missing = pd.isna(pd.Series(values)).to_numpy()
    plain = [None if gone else value for value, gone in zip(values, missing, strict=True)]
    return pl.Series(name, plain, dtype=TYPES[kind])


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


class FlywheelModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow has no types
    """Feature function and estimator of one version."""

    def load_context(self, context: Any) -> None:
        """Read the package folder that was logged with the model."""
        package = Path(context.artifacts["package"])
        self.columns = json.loads((package / "contract.json").read_text())["columns"]
        self.features = load_features(package / "features.py").features
        self.estimator = skops.io.load(package / "estimator.skops", trusted=TRUSTED)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return n_rows by 1: `probability`, from 0 to 1, that the label is 1."""
        inputs = estimator_input(self.features(typed(model_input, self.columns)))
        return pd.DataFrame({"probability": self.estimator.predict_proba(inputs)[:, 1].astype("float64")})


mlflow.models.set_model(FlywheelModel())
