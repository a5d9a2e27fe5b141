"""Experiments: nobody chooses where they lie, and those that hold an approved run stay."""

import json
from typing import TYPE_CHECKING

import pytest

from tests.registry.doors.conftest import ADMINISTRATOR, AUTHOR, REVIEWER, STRANGER, Knock, approve

if TYPE_CHECKING:
    from tests.registry.conftest import Server


@pytest.mark.parametrize("key", ["artifact_location", "artifactLocation"])
@pytest.mark.parametrize("location", ["s3://artifacts/1", "file:///tmp/anywhere", "mlflow-artifacts:/1"])
def test_nobody_chooses_where_the_server_writes(server: "Server", key: str, location: str) -> None:
    body = {"name": f"elsewhere-{key}-{location}", key: location}
    for path in ("/api/2.0/mlflow/experiments/create", "/ajax-api/2.0/mlflow/experiments/create"):
        for document in (body, json.dumps(body)):  # MLflow still reads JSON within JSON
            answer = server.call("ada", "POST", path, json=document)
            assert answer.status_code == 403
            assert "the server alone decides" in answer.json()["message"]


def test_an_experiment_of_ones_own_is_made_changed_and_deleted(server: "Server", knock: Knock, model: str) -> None:
    made = server.made(AUTHOR, "experiments/create", name=f"free-{model}")["experiment_id"]
    server.made(AUTHOR, "experiments/set-experiment-tag", experiment_id=made, key="a", value="b")
    server.made(AUTHOR, "experiments/update", experiment_id=made, new_name=f"freer-{model}")
    server.made(AUTHOR, "experiments/delete", experiment_id=made)
    server.made(AUTHOR, "experiments/restore", experiment_id=made)
    for path in ("create", "delete", "restore", "update"):
        assert knock(STRANGER, "POST", f"/api/2.0/mlflow/experiments/{path}", {"experiment_id": made}).status == 401


@pytest.mark.parametrize("key", ["experiment_id", "experimentId"])
def test_an_experiment_that_holds_an_approved_run_stays(server: "Server", model: str, key: str) -> None:
    experiment = str(server.made(AUTHOR, "experiments/create", name=f"of-{key}-{model}")["experiment_id"])
    run = str(server.made(AUTHOR, "runs/create", experiment_id=experiment)["run"]["info"]["run_id"])
    folder = f"{experiment}/{run}/artifacts/model"
    assert server.call(AUTHOR, "PUT", f"mlflow-artifacts/artifacts/{folder}/MLmodel", data=b"m").status_code == 200
    body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run}
    version = str(server.made(AUTHOR, "model-versions/create", **body)["model_version"]["version"])
    approve(server, model, version, then_archive=True)
    for user in (AUTHOR, REVIEWER, ADMINISTRATOR):
        for twin in ("/api", "/ajax-api"):
            answer = server.call(user, "POST", f"{twin}/2.0/mlflow/experiments/delete", json={key: experiment})
            assert answer.status_code in {400, 403}, answer.text
    assert "so it stays" in server.post(ADMINISTRATOR, "experiments/delete", experiment_id=experiment).json()["message"]
    kept = server.call(AUTHOR, "GET", f"mlflow/runs/get?run_id={run}").json()["run"]["info"]
    assert kept["lifecycle_stage"] == "active"


@pytest.mark.parametrize("wrong", ["", "none", "-1", "99999999", "99999999999999999999999", "1; DROP TABLE runs"])
def test_an_experiment_that_does_not_exist_is_a_bad_request(server: "Server", wrong: str) -> None:
    answer = server.post(ADMINISTRATOR, "experiments/delete", experiment_id=wrong)
    assert answer.status_code in {400, 404}, answer.text
