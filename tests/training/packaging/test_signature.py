"""The signature is really enforced: by `mlflow.pyfunc` on frames, and by a real `mlflow models serve` on JSON."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest
import urllib3
from mlflow.exceptions import MlflowException

from tests.training.tiny_package import tiny_parts
from training.packaging.model_code import encode, predict_matrix
from training.packaging.package import PackageParts, write_package
from training.packaging.publish import save_model

PATIENCE = 90  # seconds until the server must answer
ROOT = Path(__file__).parents[3]
ROW: dict[str, Any] = {
    "at": "2024-01-20T10:15:00.000000",
    "size": 1.5,
    "count": 3,
    "rank": 2,
    "colour": "red",
    "flag": True,
    "sure": False,
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> PackageParts:
    return tiny_parts(tmp_path_factory.mktemp("home"), threshold=0.5)


@pytest.fixture(scope="module")
def folder(parts: PackageParts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of a contract with nullable whole numbers and booleans."""
    home = tmp_path_factory.mktemp("model")
    write_package(home / "package", parts)
    save_model(home / "model", home / "package", parts.contract, parts.test.inputs, flavor=parts.flavor)
    return home / "model"


@pytest.fixture(scope="module")
def scorer(folder: Path) -> Iterator[str]:
    """The address of `mlflow models serve` on that folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = folder.parent
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home)}
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/m.db",
    }
    options = ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port), "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), *options]
    with (home / "serve.log").open("w") as log:
        process = subprocess.Popen(command, env=paths | quiet, cwd=home, stdout=log, stderr=log, start_new_session=True)
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


def ask(scorer: str, *rows: dict[str, Any]) -> tuple[int, str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    data = [[row.get(name) for name in columns] for row in rows]
    body = json.dumps({"dataframe_split": {"columns": columns, "data": data}})
    answer = urllib3.request("POST", scorer, body=body, headers={"Content-Type": "application/json"})
    return answer.status, answer.data.decode()


def test_a_frame_with_nullable_whole_numbers_and_booleans_keeps_its_signature(
    folder: Path, parts: PackageParts
) -> None:
    model = mlflow.pyfunc.load_model(str(folder))
    schema = model.metadata.signature.inputs
    assert schema.input_names() == [column.name for column in parts.contract.columns]
    assert schema.required_input_names() == ["at", "rank", "sure"]
    assert model.metadata.signature.outputs.to_dict() == [
        {"type": "double", "name": "probability", "required": True},
        {"type": "boolean", "name": "decision", "required": True},
    ]
    assert model.metadata.metadata["inputs"]["count"] == "long"
    given = parts.test.inputs.to_pandas()
    given["count"] = pd.array(parts.test.inputs["count"].to_list(), dtype="Int64")
    given["flag"] = pd.array(parts.test.inputs["flag"].to_list(), dtype="boolean")
    found = model.predict(given)
    expected = predict_matrix(parts.model, encode(parts.features, parts.columns.document()), "binary")
    assert np.array_equal(found["probability"], expected)
    with pytest.raises(MlflowException, match=r"required by the model signature|Model is missing inputs"):
        model.predict(given.drop(columns="rank"))
    given["count"] = given["count"].astype("Float64") + 0.5
    with pytest.raises(MlflowException, match="takes a whole number"):
        model.predict(given)


def test_the_server_scores_rows_with_nulls_as_training_does(scorer: str, parts: PackageParts) -> None:
    sent = parts.test.inputs.with_columns(pl.col("at").dt.to_string("iso:strict")).head(60).to_dicts()
    status, body = ask(scorer, *sent)
    assert status == 200, body
    expected = predict_matrix(parts.model, encode(parts.features.head(60), parts.columns.document()), "binary")
    answers = json.loads(body)["predictions"]
    assert [answer["probability"] for answer in answers] == expected.tolist()
    assert [answer["decision"] for answer in answers] == (expected >= 0.5).tolist()


def test_the_server_refuses_what_breaks_the_contract_with_400_and_a_reason(scorer: str) -> None:
    status, body = ask(scorer, ROW, ROW | {"at": "2024-01-20T10:15:00Z", "count": None, "flag": None})
    assert status == 200, body
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"count": 1.5}, "takes a whole number, not 1.5"),
        ({"rank": 1.5}, "takes a whole number, not 1.5"),
        ({"rank": None}, "is missing, but needs a value"),
        ({"rank": "two"}, "takes a whole number, not 'two'"),
        ({"size": "big"}, "size"),
        ({"sure": None}, "is missing, but needs a value"),
        ({"flag": "maybe"}, "takes true or false, not 'maybe'"),
        ({"at": "soon"}, "takes a time as ISO 8601 text"),
        ({"colour": 5}, "takes text, not 5"),
    ]
    for change, reason in refusals:
        status, body = ask(scorer, ROW | change)
        assert status == 400, (change, body)
        assert reason in json.loads(body)["message"], (change, body)
    without = {name: value for name, value in ROW.items() if name != "sure"}
    status, body = ask(scorer, without)
    assert (status, "sure" in body) == (400, True)
    assert ask(scorer, {name: value for name, value in ROW.items() if name != "count"})[0] == 200
