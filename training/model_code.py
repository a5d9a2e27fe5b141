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
