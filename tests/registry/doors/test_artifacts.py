"""Artifacts of a registered version: no upload, no deletion, by whichever door, however it is spelled."""

import base64
import json
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.registry.doors.conftest import ADMINISTRATOR, AUTHOR, REVIEWER, STRANGER, Knock, approve

if TYPE_CHECKING:
    from tests.registry.conftest import Server


@pytest.fixture(scope="module")
def registered(server: "Server") -> tuple[str, str]:
    """A run and the folder of a version registered from it."""
    model, (run, folder) = server.model(), server.run()
    body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run}
    server.made("ada", "model-versions/create", **body)
    return run, folder


DOORS = [
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
    ("PUT", "/ajax-api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{folder}/a/new/file"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{folder}"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{encoded}/MLmodel"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{parent}/x/%2e%2e/model/MLmodel"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{parent}/x/../model/MLmodel"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{parent}//model/MLmodel"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts//{folder}/MLmodel"),
    ("PUT", "//api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
    ("PUT", "/api/2.0//mlflow-artifacts/artifacts/{folder}/MLmodel"),
    ("PUT", "/api/2.0/mlflow%2Dartifacts/artifacts/{folder}/MLmodel"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{parent}%2Fmodel%2FMLmodel"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{parent}%5Cmodel%5CMLmodel"),
    ("POST", "/api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
    ("PATCH", "/api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{folder}"),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{folder}/"),
    ("DELETE", "/ajax-api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{parent}"),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{experiment}"),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/."),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{encoded}"),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/create/{folder}/MLmodel"),
    ("POST", "/ajax-api/2.0/mlflow-artifacts/mpu/create/{encoded}/MLmodel"),
    ("POST", "/ajax-api/2.0/mlflow-artifacts/mpu/complete/{folder}/MLmodel"),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/abort/{folder}/MLmodel"),
    ("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url"),
    ("POST", "/ajax-api/2.0/mlflow/artifacts/presigned-upload-url"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=model/MLmodel"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact?path=model%2FMLmodel&run_uuid={run}"),
]


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_no_door_changes_the_artifacts_of_a_registered_version(
    server: "Server", knock: Knock, registered: tuple[str, str], method: str, path: str
) -> None:
    run, folder = registered
    parent, experiment = folder.removesuffix("/model"), folder.split("/")[0]
    encoded = f"{parent}/%256dodel"
    named = path.format(folder=folder, parent=parent, run=run, encoded=encoded, experiment=experiment)
    body = json.dumps({"run_id": run, "path": "model/MLmodel", "num_parts": 1}).encode()
    for user in (AUTHOR, REVIEWER, ADMINISTRATOR):
        answer = knock(user, method, named, body)
        # 400: MLflow refuses dots itself; 308 and 405: there is no such door.
        assert answer.status in {400, 403, 404, 405, 307, 308}, answer
    assert knock(STRANGER, method, named, body).status in {401, 307, 308, 404, 405}
    kept = server.call(AUTHOR, "GET", f"mlflow-artifacts/artifacts/{folder}/MLmodel")
    assert kept.text == f"MLmodel of {run}"


def test_a_refused_write_says_which_version_holds_the_file(server: "Server", registered: tuple[str, str]) -> None:
    response = server.call("ada", "PUT", f"mlflow-artifacts/artifacts/{registered[1]}/MLmodel", data=b"x")
    assert response.status_code == 403
    assert "a registered version is frozen" in response.json()["message"]


def test_a_stranger_gets_401_also_where_it_is_frozen(server: "Server", registered: tuple[str, str]) -> None:
    path = f"mlflow-artifacts/artifacts/{registered[1]}/MLmodel"
    assert server.call(None, "PUT", path, data=b"x").status_code == 401
    assert server.call(None, "DELETE", path).status_code == 401


@pytest.mark.parametrize("user", [AUTHOR, REVIEWER, ADMINISTRATOR])
def test_a_folder_that_nobody_registered_is_open(server: "Server", knock: Knock, user: str) -> None:
    run, folder = server.run(user)
    doors = [
        ("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
        ("PUT", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{folder}/more"),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=model/more"),
        ("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{folder}"),
    ]
    for method, path in doors if user != REVIEWER else doors[:-1]:  # MLflow lets only who made the experiment delete
        answer = knock(user, method, path, b'{"a": "file"}')
        assert answer.status in {200, 204}, (method, path, answer)


def test_whatever_else_a_run_has_logged_is_frozen_when_its_version_is_approved(server: "Server", model: str) -> None:
    version = server.register(model, AUTHOR)
    location = server.version(model, version)["source"].removeprefix("mlflow-artifacts:/")
    plot = f"mlflow-artifacts/artifacts/{location.removesuffix('/model')}/plots/roc.svg"
    assert server.call(AUTHOR, "PUT", plot, data=b"as reviewed").status_code == 200
    approve(server, model, version, then_archive=True)
    for user in (AUTHOR, REVIEWER, ADMINISTRATOR):
        assert server.call(user, "PUT", plot, data=b"better").status_code == 403
        assert server.call(user, "DELETE", plot).status_code == 403
    assert server.call(AUTHOR, "GET", plot).text == "as reviewed"


def test_files_beside_a_registered_folder_stay_writable(server: "Server", registered: tuple[str, str]) -> None:
    beside = f"mlflow-artifacts/artifacts/{registered[1]}-notes.txt"
    assert server.call("ada", "PUT", beside, data=b"x").status_code == 200


def test_an_upload_that_began_before_the_registration_does_not_end_after_it(server: "Server", model: str) -> None:
    run, folder = server.run()
    path, where = f"mlflow-artifacts/artifacts/{folder}/MLmodel", urlsplit(server.where.mlflow_url)
    login = base64.b64encode(f"ada:{server.known.users['ada']}".encode()).decode()
    head = f"PUT /api/2.0/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {login}\r\n"
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=30) as line:
        line.sendall(f"{head}Content-Length: 4\r\n\r\nev".encode())
        source = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run}
        version = server.made("ada", "model-versions/create", **source)["model_version"]["version"]
        assert server.move("grace", model, version, "Production").status_code == 200
        line.sendall(b"il")
        assert line.recv(100).startswith(b"HTTP/1.1 403")
    assert server.call("ada", "GET", path).text == f"MLmodel of {run}"
