"""The server around MLflow: login before everything, frozen artifacts, grants, and pages with the stage control on."""

import base64
import json
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from flywheel.identities import CONTROLLER, MONITORING, TRAINING

if TYPE_CHECKING:
    from tests.registry.conftest import Server


@pytest.fixture
def registered(server: "Server", model: str) -> tuple[str, str]:
    """A run and the folder of a version registered from it."""
    run, folder = server.run()
    body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run}
    server.made("ada", "model-versions/create", **body)
    return run, folder


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
        ("PUT", "/ajax-api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{folder}/a/new/file"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{encoded}/MLmodel"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{dotted}/MLmodel"),
        ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{folder}"),
        ("DELETE", "/ajax-api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
        ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{parent}"),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/{folder}/MLmodel"),
        ("POST", "/ajax-api/2.0/mlflow-artifacts/mpu/complete/{folder}/MLmodel"),
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=model/MLmodel"),
    ],
)
def test_no_door_changes_the_artifacts_of_a_registered_version(
    server: "Server", registered: tuple[str, str], method: str, path: str
) -> None:
    run, folder = registered
    parent = folder.removesuffix("/model")
    spelled = {"folder": folder, "parent": parent, "run": run}
    spelled |= {"encoded": f"{parent}/%256dodel", "dotted": f"{parent}/x/%2e%2e/model"}
    response = server.call("admin", method, path.format(**spelled), data=b"other bytes")
    assert response.status_code in {400, 403}  # 400: MLflow itself refuses dots
    kept = server.call("ada", "GET", f"mlflow-artifacts/artifacts/{folder}/MLmodel")
    assert kept.text == f"MLmodel of {run}"


def test_a_refused_write_says_which_version_holds_the_file(server: "Server", registered: tuple[str, str]) -> None:
    response = server.call("ada", "PUT", f"mlflow-artifacts/artifacts/{registered[1]}/MLmodel", data=b"x")
    assert response.status_code == 403
    assert "a registered version is frozen" in response.json()["message"]


def test_a_stranger_gets_401_also_where_it_is_frozen(server: "Server", registered: tuple[str, str]) -> None:
    path = f"mlflow-artifacts/artifacts/{registered[1]}/MLmodel"
    assert server.call(None, "PUT", path, data=b"x").status_code == 401
    assert server.call(None, "DELETE", path).status_code == 401


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


@pytest.mark.parametrize("key", ["artifact_location", "artifactLocation"])
@pytest.mark.parametrize("location", ["s3://artifacts/1", "file:///tmp/anywhere", "mlflow-artifacts:/1"])
def test_nobody_chooses_where_the_server_writes(server: "Server", key: str, location: str) -> None:
    body = {"name": f"elsewhere-{key}-{location}", key: location}
    for path in ("/api/2.0/mlflow/experiments/create", "/ajax-api/2.0/mlflow/experiments/create"):
        for document in (body, json.dumps(body)):  # MLflow still reads JSON within JSON
            answer = server.call("ada", "POST", path, json=document)
            assert answer.status_code == 403
            assert "the server alone decides" in answer.json()["message"]


@pytest.mark.parametrize("user", ["grace", CONTROLLER, TRAINING])
def test_everyone_with_a_part_in_it_may_edit_a_model_that_ada_created(server: "Server", model: str, user: str) -> None:
    body = {"name": model, "key": "seen-by", "value": user}
    assert server.post(user, "registered-models/set-tag", **body).status_code == 200


def test_who_only_watches_may_read_and_not_edit(server: "Server", model: str) -> None:
    assert server.call(MONITORING, "GET", f"mlflow/registered-models/get?name={model}").status_code == 200
    assert server.post(MONITORING, "registered-models/set-tag", name=model, key="k", value="v").status_code == 403


def test_mlflows_index_page_switches_the_stage_control_on_and_links_reviews(server: "Server") -> None:
    page = server.call("ada", "GET", "/")
    assert page.status_code == 200
    assert "_mlflow_user_setting_dismiss_next_model_registry_ui" in page.text
    assert "flywheel-review-link" in page.text
    assert int(page.headers["content-length"]) == len(page.content)
