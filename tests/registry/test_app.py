"""The server around MLflow: login before everything, frozen artifacts, grants, and pages with the stage control on."""

from typing import TYPE_CHECKING

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
