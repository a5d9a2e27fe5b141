"""The one model that all servers serve: flights, trained here by Flywheel's own training, with rows and answers.

The rows are the version's own reference sample, all different; the answers are those that training stored beside it.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl

AS_OF = "2013-03-15"
TRAIN_SECONDS = 300
TOLERANCE = 1e-5
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Served:
    """The model folder, raw rows as JSON carries them, and the probability of each."""

    package: Path
    columns: dict[str, str]
    rows: list[dict[str, Any]]
    expected: list[float]


def served(cache: Path) -> Served:
    """Return the model, trained now if the cache has none."""
    package = cache / f"flights-{AS_OF}"
    if not (package / "MLmodel").is_file():
        _train(cache, package)
    inside = package / "artifacts" / "package"
    contract = orjson.loads((inside / "contract.json").read_bytes())
    columns = {column["name"]: column["type"] for column in contract["columns"]}
    rows = pl.read_parquet(inside / "reference.parquet").select(list(columns)).to_dicts()
    expected = pl.read_parquet(inside / "answers.parquet")["probability"].to_list()
    return Served(package, columns, [_as_json(row) for row in rows], expected)


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _train(cache: Path, package: Path) -> None:
    """Train with two trials, against stores in files: what matters here is the package, not how good it is."""
    folder = cache / "training"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "FLYWHEEL_OPTUNA_URL": f"sqlite:///{folder}/optuna.db",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}",
    }
    command = [sys.executable, "-m", "training", "--usecase", str(ROOT / "examples/flights/usecase.yaml")]
    done = subprocess.run(
        [*command, "--as-of", AS_OF, "--trials", "2"],
        cwd=folder,
        env=environment,
        timeout=TRAIN_SECONDS,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"Training the benchmark's model failed: {done.stderr.decode(errors='replace')[-500:]}")
    found = next(folder.glob("mlruns/*/models/*/artifacts/MLmodel")).parent
    shutil.copytree(found, package)
