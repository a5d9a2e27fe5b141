"""The scorer's contract: MLflow's own server answers what the agent sends, as JSON, with times and nulls."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from flywheel.package import read_package

PATIENCE = 90  # seconds until a process must be done or answer
ROOT = Path(__file__).parents[2]
ROW = {"at": "2024-01-20T10:15:00.000000", "size": 1.5, "count": 3, "colour": "red"}


def environment(home: Path) -> dict[str, str]:
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}
    return paths | {
        "HOME": str(home),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(home / "artifacts"),
        "FLYWHEEL_OPTUNA_URL": f"sqlite:///{home}/optuna.db",
        "FLYWHEEL_HOME": str(home / "flywheel"),
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


@pytest.fixture
def model_folder(write_usecase: Callable[..., Path], tmp_path: Path) -> Path:
    """Train the tiny use case as a person would, and return the folder of the version it registered."""
    command = [sys.executable, "-m", "training", "--usecase", str(write_usecase())]
    done = subprocess.run(
        command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "tiny version 1: log-loss" in done.stdout
    (found,) = tmp_path.rglob("MLmodel")
    return found.parent


@pytest.fixture
def scorer(model_folder: Path, tmp_path: Path) -> Iterator[str]:
    """Yield the address of `mlflow models serve` on that folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port), "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model_folder), *options]
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen(command, env=environment(tmp_path), stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=PATIENCE)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if urllib3.request("GET", address, retries=False, timeout=2).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.2)
    pytest.fail(f"nothing answered at {address}")


def test_a_version_is_trained_read_and_served(model_folder: Path, scorer: str) -> None:
    package = read_package(model_folder)
    assert package.usecase.name == "tiny"
    assert package.profile.reference.roc_auc > 0.6
    assert package.lineage.trials == 3
    assert package.reference.is_file()
    columns = [column.name for column in package.contract.columns]

    def ask(*rows: dict[str, Any]) -> list[float]:
        data = [[row[name] for name in columns] for row in rows]
        body = json.dumps({"dataframe_split": {"columns": columns, "data": data}})
        answer = urllib3.request("POST", scorer, body=body, headers={"Content-Type": "application/json"})
        assert answer.status == 200, answer.data
        return [row["probability"] for row in answer.json()["predictions"]]

    (alone,) = ask(ROW)
    assert 0 < alone < 1
    nulls = ROW | {"size": None, "colour": None}
    later = ROW | {"at": "2024-01-20T10:15:00.123456"}
    together = ask(ROW, nulls, later, ROW | {"colour": "violet", "size": 2})
    assert together[0] == alone == together[2]
    assert ask(nulls, nulls) == [together[1]] * 2

    # Why the agent writes every time with microseconds: MLflow reads a column of times in the first one's format.
    mixed = json.dumps({"dataframe_records": [ROW, ROW | {"at": "2024-01-20T10:15:00"}]})
    assert urllib3.request("POST", scorer, body=mixed, headers={"Content-Type": "application/json"}).status == 400
