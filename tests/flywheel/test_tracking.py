"""The REST client against a real MLflow server."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
import urllib3

from flywheel.errors import StackError, TransientError, UsageError
from flywheel.tracking import RefusedError, Tracking

PATIENCE = 120  # seconds until the server must answer
MODEL = "some-case"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of an MLflow server without login."""
    home = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stores = ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "artifacts")]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        *stores,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=os.environ | quiet, cwd=home, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
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


@pytest.fixture(scope="module")
def tracking(server: str, tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    """Return a client of a server that has one model with two versions, each with two files."""
    client = Tracking.from_login({"MLFLOW_TRACKING_URI": server})
    file = tmp_path_factory.mktemp("files") / "file"
    file.write_bytes(b"\x00\xff binary")
    run = client.log_report_run("models", {}, {}, {"model/MLmodel": file, "model/data/weights": file})
    source = client._call("GET", "runs/get", run_id=run)["run"]["info"]["artifact_uri"] + "/model"
    client._call("POST", "registered-models/create", name=MODEL)
    for _ in range(2):
        client._call("POST", "model-versions/create", name=MODEL, source=source, run_id=run)
    return client


def test_versions_come_newest_first_and_stages_select(tracking: Tracking) -> None:
    assert tracking.registered_models() == [MODEL]
    assert [version.version for version in tracking.versions(MODEL)] == ["2", "1"]
    assert tracking.versions("unheard-of") == []
    assert tracking.transition(MODEL, "1", "Production").stage == "Production"
    assert [version.version for version in tracking.production_versions(MODEL)] == ["1"]
    assert tracking.archive(MODEL, "1").stage == "Archived"
    assert tracking.production_versions(MODEL) == []


def test_an_alias_moves_and_goes_and_may_go_twice(tracking: Tracking) -> None:
    assert tracking.alias(MODEL, "champion") is None
    for version in ("1", "2"):
        tracking.set_alias(MODEL, "champion", version)
        assert tracking.alias(MODEL, "champion") == version
    assert tracking.version(MODEL, "2").aliases == ("champion",)
    tracking.delete_alias(MODEL, "champion")
    tracking.delete_alias(MODEL, "champion")
    assert tracking.alias(MODEL, "champion") is None


def test_a_download_is_the_folder_byte_for_byte(tracking: Tracking, tmp_path: Path) -> None:
    folder = tracking.download(MODEL, "1", tmp_path / "model")
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"MLmodel": b"\x00\xff binary", "data/weights": b"\x00\xff binary"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_report_run_is_there_with_its_file(tracking: Tracking, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>fine</p>")
    run = tracking.log_report_run("watch", {"window": "1"}, {"log_loss": 0.5}, {"reports/report.html": report}, "May")
    logged = tracking._call("GET", "runs/get", run_id=run)["run"]
    assert logged["info"]["status"] == "FINISHED"
    assert {metric["key"]: metric["value"] for metric in logged["data"]["metrics"]} == {"log_loss": 0.5}
    files = tracking._files(PurePosixPath(logged["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")))
    assert [file.name for file in files] == ["report.html"]
    assert run in tracking.run_url("watch", run)


def test_what_the_server_refuses_carries_its_sentence(tracking: Tracking) -> None:
    with pytest.raises(RefusedError, match="not found") as caught:
        tracking.version(MODEL, "99")
    assert caught.value.code == "RESOURCE_DOES_NOT_EXIST"
    assert isinstance(caught.value, StackError)


def test_a_server_that_is_not_there_may_come_back_and_a_missing_address_may_not() -> None:
    with pytest.raises(TransientError, match="does not answer"):
        Tracking("http://127.0.0.1:9").registered_models()
    with pytest.raises(UsageError, match="names no server"):
        Tracking.from_login({"MLFLOW_TRACKING_URI": "sqlite:///here.db"})


def test_starting_needs_no_mlflow() -> None:
    code = "import sys, flywheel.tracking; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
