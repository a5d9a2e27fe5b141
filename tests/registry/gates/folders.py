"""Packages and plain models for tests of gates: built once, then copied and spoiled."""

import json
import shutil
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import polars as pl
from mlflow.models import infer_signature

import tests.registry.gates.quiet_mlflow  # noqa: F401  # first
from flywheel.limits import Limits, PolicyLimits
from flywheel.package import INSIDE
from flywheel.usecase import Task
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, Gate
from registry.gates.run import measured
from registry.gates.server import ModelServer
from tests.training.tiny_package import tiny_parts
from training.packaging.package import write_package
from training.packaging.publish import save_model

EVALUATION: dict[str, Any] = {
    "metric": "log_loss",
    "rows": 200,
    "days": 9,
    "scores": {
        "log_loss": {"value": 0.42, "low": 0.4, "high": 0.45},
        "f_one": {"value": 0.7, "low": None, "high": None},
    },
    "calibration": {"method": "none", "error_before": 0.02, "error_after": 0.03},
    "behaviours": [
        {"name": "larger is likelier", "description": "size + 1", "share": 0.99, "passed": True},
        {"name": "colour is nothing", "description": "colour", "share": None, "passed": None},
    ],
    "worst_slices": {
        "tested": 12,
        "found": [
            {
                "conditions": [["colour", "red"], ["flag", "true"]],
                "rows": 60,
                "loss": 0.8,
                "difference": {"value": 0.4, "low": 0.3, "high": 0.5},
                "p_adjusted": 0.01,
            }
        ],
    },
}


def build(root: Path, task: Task = "binary", **parts: Any) -> Path:
    """Train a tiny package and save it as MLflow does; return its folder."""
    made = tiny_parts(root / "home", task, evaluation=EVALUATION, **parts)
    write_package(root / "package", made)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns of its own type hints while it is imported
        save_model(root / "model", root / "package", made.contract, made.test.inputs, flavor=made.flavor)
    return root / "model"


def spoiled(folder: Path, into: Path, **files: Callable[[str], str]) -> Path:
    """Copy a model and rewrite text files of its package; names are written with _ for the dot."""
    copied = copy(folder, into)
    for name, change in files.items():
        path = copied / INSIDE / name.replace("_", ".")
        path.write_text(change(path.read_text()))
    return copied


def copy(folder: Path, into: Path) -> Path:
    """Copy a model into a folder of its own below `into`."""
    number = len(list(into.iterdir()))
    return shutil.copytree(folder, into / f"copy-{number}")


def edited(change: Callable[[Any], None]) -> Callable[[str], str]:
    """Return a change of JSON text."""

    def rewrite(text: str) -> str:
        document = json.loads(text)
        change(document)
        return json.dumps(document)

    return rewrite


def resample(folder: Path, name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Rewrite one of a package's Parquet files."""
    path = folder / INSIDE / name
    change(pl.read_parquet(path)).write_parquet(path)


class Bench:
    """Measures gates on folders; all ask one server, since starting one takes 10 s."""

    def __init__(self, server: ModelServer, work: Path) -> None:
        self.server, self.work = server, work

    def __call__(self, gate: Gate, folder: Path, champion: Path | None = None, **limits: Any) -> Measurement:
        """Measure one gate with the policy's limits, some of them changed."""
        held: Limits = PolicyLimits(**limits)
        candidate = Candidate(folder, self.work, held, champion=champion, server=self.server)
        return measured(gate, candidate)


# A plain MLflow model without package, sample or libraries of its own; it cannot stand a size above a million.
PLAIN = textwrap.dedent('''
    import mlflow
    import pandas as pd


    class Plain(mlflow.pyfunc.PythonModel):
        """Answers half of its input."""

        def predict(self, context, model_input: pd.DataFrame, params=None):
            """Return one number a row."""
            return pd.DataFrame({"half": model_input["size"] / 2})


    mlflow.models.set_model(Plain())
''')


def build_plain(root: Path) -> Path:
    """Save a plain MLflow model with signature and input example; return its folder."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "code.py").write_text(PLAIN)
    frame = pd.DataFrame({"size": [1.5, 2.5], "colour": ["red", "green"]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            str(root / "model"),
            python_model=str(root / "code.py"),
            signature=infer_signature(frame, pd.DataFrame({"half": [0.75]})),
            input_example=frame,
            pip_requirements=["mlflow", "pandas"],
        )
    return root / "model"
