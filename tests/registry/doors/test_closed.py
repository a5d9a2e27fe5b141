"""The run behind an approval, and its logged model, over MLflow's REST API."""

from typing import TYPE_CHECKING, Any

import pytest

from flywheel.identities import CONTROLLER

if TYPE_CHECKING:
    from tests.registry.conftest import Server

METRIC = {"key": "roc_auc", "value": 0.99, "timestamp": 2, "step": 0}


@pytest.fixture(scope="module")
def approved(server: "Server") -> str:
    """The run of a version that was approved and archived since."""
    model = server.model()
    version = server.register(model)
    assert server.move("grace", model, version, "Production").status_code == 200
    assert server.move(CONTROLLER, model, version, "Archived").status_code == 200
    return str(server.version(model, version)["run_id"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/delete", {}),
        ("runs/log-metric", METRIC),
        ("runs/log-parameter", {"key": "depth", "value": "9"}),
        ("runs/log-batch", {"metrics": [METRIC]}),
        ("runs/set-tag", {"key": "note", "value": "x"}),
        ("runs/delete-tag", {"key": "mlflow.runName"}),
        ("runs/log-inputs", {"datasets": []}),
    ],
)
@pytest.mark.parametrize("user", ["ada", "admin"])
def test_what_a_reviewer_saw_is_neither_changed_nor_deleted(
    server: "Server", approved: str, user: str, path: str, body: dict[str, Any]
) -> None:
    for key in ("run_id", "runId", "run_uuid"):
        refused = server.post(user, path, **{key: approved}, **body)
        assert refused.status_code in {400, 403}, refused.text  # 400: MLflow knows no such spelling here
    answer = server.call(user, "POST", f"/ajax-api/2.0/mlflow/{path}", json={"run_id": approved, **body})
    assert answer.status_code == 403
    assert "the run is closed" in answer.json()["message"]


def test_a_run_may_still_end_after_the_approval(server: "Server", approved: str) -> None:
    assert server.post("ada", "runs/update", run_id=approved, status="FINISHED").status_code == 200


def test_a_run_that_nobody_approved_stays_open(server: "Server", model: str) -> None:
    run = server.version(model, server.register(model))["run_id"]
    assert server.post("ada", "runs/log-metric", run_id=run, **METRIC).status_code == 200
    assert server.post("ada", "runs/delete", run_id=run).status_code == 200


def test_an_approved_versions_logged_model_is_not_deleted(server: "Server", model: str) -> None:
    experiment = server.made("ada", "experiments/create", name=f"of-{model}")["experiment_id"]
    made = server.made("ada", "logged-models", experiment_id=experiment, name="m")["model"]["info"]
    folder = made["artifact_uri"].removeprefix("mlflow-artifacts:/")
    path = f"mlflow-artifacts/artifacts/{folder}/MLmodel"
    assert server.call("ada", "PUT", path, data=b"a model").status_code == 200
    body = {"name": model, "source": f"models:/{made['model_id']}", "model_id": made["model_id"]}
    version = server.made("ada", "model-versions/create", **body)["model_version"]["version"]
    one = f"mlflow/logged-models/{made['model_id']}"
    assert server.call("ada", "PATCH", f"{one}/tags", json={"tags": [{"key": "a", "value": "b"}]}).status_code == 200
    assert server.move("grace", model, version, "Production").status_code == 200
    for user in ("ada", "admin"):
        assert server.call(user, "DELETE", one).status_code == 403
        assert server.call(user, "DELETE", f"{one}/tags/a").status_code == 403
