"""The REST client against a real MLflow server."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from flywheel.errors import StackError, TransientError, UsageError
from flywheel.rest import RefusedError
from flywheel.tracking import NOTE, Tracking

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
def tracking(server: str) -> Tracking:
    """Return a client of a server that has one model with two versions, each with two files."""
    client = Tracking.from_login({"MLFLOW_TRACKING_URI": server})
    run = client.start_run("models", "first", {}, source="a test")
    for path in ("model/MLmodel", "model/data/weights"):
        client.upload(run, path, b"\x00\xff binary")
    client.end_run(run)
    source = client.rest.call("GET", "runs/get", run_id=run.run_id)["run"]["info"]["artifact_uri"] + "/model"
    client.rest.call("POST", "registered-models/create", name=MODEL)
    for _ in range(2):
        client.rest.call("POST", "model-versions/create", name=MODEL, source=source, run_id=run.run_id)
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


def test_a_run_stays_open_until_it_is_ended_and_has_its_figures_its_file_and_its_page(tracking: Tracking) -> None:
    run = tracking.start_run("watch", "May", {NOTE: "all is quiet"}, source="flywheel monitor")
    tracking.log(run, {"log_loss": 0.5}, {"window": "1"}, {"report": "made"})
    tracking.upload(run, "reports/report.html", b"<p>fine</p>")
    assert _run(tracking, run.run_id)["info"]["status"] == "RUNNING"
    tracking.end_run(run)
    logged = _run(tracking, run.run_id)
    tags = {tag["key"]: tag["value"] for tag in logged["data"]["tags"]}
    assert logged["info"]["status"] == "FINISHED"
    assert {metric["key"]: metric["value"] for metric in logged["data"]["metrics"]} == {"log_loss": 0.5}
    assert tags.items() >= {NOTE: "all is quiet", "report": "made", "mlflow.source.name": "flywheel monitor"}.items()
    assert [file.name for file in tracking.rest.files(run.artifacts)] == ["report.html"]
    assert tracking.page(run, "reports/report.html").endswith(f"/runs/{run.run_id}/artifacts/reports/report.html")


def _run(tracking: Tracking, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = tracking.rest.call("GET", "runs/get", run_id=run_id)["run"]
    return found


def test_what_the_server_refuses_carries_its_sentence(tracking: Tracking) -> None:
    with pytest.raises(RefusedError, match="not found") as caught:
        tracking.version(MODEL, "99")
    assert caught.value.code == "RESOURCE_DOES_NOT_EXIST"
    assert isinstance(caught.value, StackError)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("registered-models/get", {"name": "nope"}),
        ("registered-models/alias", {"name": MODEL, "alias": "nope"}),
        ("model-versions/get", {"name": MODEL, "version": "7"}),
    ],
)
def test_of_what_is_not_there_it_is_said_where_to_look(tracking: Tracking, path: str, asked: dict[str, str]) -> None:
    with pytest.raises(RefusedError, match=r"not found\. Name one that MLflow lists: http://.*/#/models\.$"):
        tracking.rest.call("GET", path, **asked)


def test_a_server_that_is_not_there_may_come_back_and_a_missing_address_may_not() -> None:
    with pytest.raises(TransientError, match="does not answer"):
        Tracking("http://127.0.0.1:9").registered_models()
    with pytest.raises(UsageError, match="names no server"):
        Tracking.from_login({"MLFLOW_TRACKING_URI": "sqlite:///here.db"})


def test_a_server_that_is_silent_is_asked_once_by_who_cannot_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Tracking(f"http://127.0.0.1:{silent.getsockname()[1]}", most_seconds=0.5)
        with pytest.raises(TransientError, match="does not answer"):
            client.version(MODEL, "1")
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_starting_needs_no_mlflow() -> None:
    code = "import sys, flywheel.tracking; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
