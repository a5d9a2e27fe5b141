"""The run behind an approval, and its logged model, over MLflow's REST API."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.registry.doors.conftest import ADMINISTRATOR, AUTHOR, REVIEWER, STRANGER, Knock, approve

if TYPE_CHECKING:
    from tests.registry.conftest import Server

METRIC = {"key": "roc_auc", "value": 0.99, "timestamp": 2, "step": 0}
SPELLINGS = ("run_id", "runId", "run_uuid", "runUuid")
CARD = json.dumps({"artifact_path": "m", "flavors": {}, "utc_time_created": "2026-01-01 00:00:00", "run_id": "0"})
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("2.0/mlflow/runs/delete", {}),
    ("2.0/mlflow/runs/log-metric", METRIC),
    ("2.0/mlflow/runs/log-parameter", {"key": "depth", "value": "9"}),
    ("2.0/mlflow/runs/log-batch", {"metrics": [METRIC]}),
    ("2.0/mlflow/runs/set-tag", {"key": "note", "value": "x"}),
    ("2.0/mlflow/runs/delete-tag", {"key": "mlflow.runName"}),
    ("2.0/mlflow/runs/log-inputs", {"datasets": []}),
    ("2.0/mlflow/runs/log-model", {"model_json": CARD}),
    ("2.0/mlflow/runs/outputs", {"models": [{"model_id": "m-1", "step": 0}]}),
    ("2.0/mlflow/runs/update", {"run_name": "another"}),
    ("2.0/mlflow/runs/update", {"runName": "another", "status": "FINISHED"}),
    ("2.0/mlflow/traces/link-to-run", {"trace_ids": ["tr-1"]}),
]


@pytest.fixture(scope="module")
def approved(server: "Server") -> str:
    """The run of a version that was approved and archived since."""
    model = server.model()
    version = server.register(model)
    approve(server, model, version, then_archive=True)
    return str(server.version(model, version)["run_id"])


@pytest.mark.parametrize(("path", "body"), CHANGES)
def test_what_a_reviewer_saw_is_neither_changed_nor_deleted(
    server: "Server", knock: Knock, approved: str, path: str, body: dict[str, Any]
) -> None:
    before = server.call(AUTHOR, "GET", f"mlflow/runs/get?run_id={approved}").json()
    for user in (AUTHOR, REVIEWER, ADMINISTRATOR):
        for key in SPELLINGS:
            refused = knock(user, "POST", f"/api/{path}", {key: approved, **body})
            assert refused.status in {400, 403}, refused  # 400: MLflow knows no such spelling here
        answer = knock(user, "POST", f"/ajax-api/{path}", {"run_id": approved, **body})
        assert answer.status == 403, answer
    assert "the run is closed" in answer.message  # others may have met MLflow's own permissions before
    assert knock(STRANGER, "POST", f"/api/{path}", {"run_id": approved, **body}).status == 401
    assert server.call(AUTHOR, "GET", f"mlflow/runs/get?run_id={approved}").json() == before


@pytest.mark.parametrize(
    "written",
    [
        '{{"run_id": "none", "run_id": "{run}", {rest}}}',
        '{{"run_uuid": "{run}", "run_id": "{other}", {rest}}}',
        '{{"run_id": "{run}", "run_uuid": "{other}", {rest}}}',
        '{{"run_id": "", "runUuid": "{run}", {rest}}}',
        '{{"\\u0072un_id": "{run}", {rest}}}',
    ],
)
def test_no_way_of_writing_a_body_hides_the_run(server: "Server", knock: Knock, approved: str, written: str) -> None:
    other, _ = server.run(AUTHOR)
    rest = '"key": "roc_auc", "value": 0.99, "timestamp": 2'
    for user in (AUTHOR, ADMINISTRATOR):
        body = written.format(run=approved, other=other, rest=rest).encode()
        assert knock(user, "POST", "/api/2.0/mlflow/runs/log-metric", body).status in {400, 403, 404}
    run = server.call(AUTHOR, "GET", f"mlflow/runs/get?run_id={approved}").json()["run"]
    assert run["data"].get("metrics", []) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"null", b'"{"', b'{"run_id": {}}', b'{"run_id": ["a"]}'])
def test_a_body_that_names_no_run_is_no_fault_of_the_server(knock: Knock, body: bytes) -> None:
    for path in ("log-metric", "update", "set-tag"):
        assert knock(ADMINISTRATOR, "POST", f"/api/2.0/mlflow/runs/{path}", body).status in {400, 404}


def test_a_run_ends_once_after_its_approval_and_stays_ended(server: "Server", model: str) -> None:
    version = server.register(model)
    approve(server, model, version)
    run = server.version(model, version)["run_id"]
    for _ in range(2):  # clients try again when an answer is lost
        assert server.post(AUTHOR, "runs/update", run_id=run, status="FINISHED", end_time=5).status_code == 200
    for user in (AUTHOR, ADMINISTRATOR):
        for status in ("FAILED", "RUNNING", 4):
            assert server.post(user, "runs/update", run_id=run, status=status).status_code == 403


def test_a_run_that_nobody_approved_stays_open(server: "Server", model: str) -> None:
    run = server.version(model, server.register(model))["run_id"]
    for user in (AUTHOR, REVIEWER, ADMINISTRATOR):
        assert server.post(user, "runs/log-metric", run_id=run, **METRIC).status_code == 200
        assert server.post(user, "runs/update", run_id=run, run_name=f"by-{user}").status_code == 200
    assert server.post(AUTHOR, "runs/delete", run_id=run).status_code == 200
    assert server.post(AUTHOR, "runs/restore", run_id=run).status_code == 200
    assert server.call(STRANGER, "POST", "mlflow/runs/restore", json={"run_id": run}).status_code == 401


def test_a_run_that_was_deleted_before_its_approval_comes_back_as_it_was(server: "Server", model: str) -> None:
    version = server.register(model)
    run = server.version(model, version)["run_id"]
    assert server.post(AUTHOR, "runs/delete", run_id=run).status_code == 200
    approve(server, model, version)
    assert server.post(AUTHOR, "runs/restore", run_id=run).status_code == 200
    assert server.post(AUTHOR, "runs/delete", run_id=run).status_code == 403


@pytest.mark.parametrize("how", ["deleted", "renamed"])
def test_the_run_stays_closed_when_its_version_is_gone(server: "Server", model: str, how: str) -> None:
    version = server.register(model)
    run = server.version(model, version)["run_id"]
    approve(server, model, version, then_archive=True)
    if how == "deleted":
        gone = server.call(AUTHOR, "DELETE", "mlflow/registered-models/delete", json={"name": model})
        assert gone.status_code == 200
    else:
        server.made(AUTHOR, "registered-models/rename", name=model, new_name=f"{model}-new")
    for user in (AUTHOR, ADMINISTRATOR):
        refused = server.post(user, "runs/log-metric", run_id=run, **METRIC)
        assert refused.status_code == 403
        assert f"version {version} of '{model}' was approved" in refused.json()["message"]


@pytest.fixture(scope="module")
def logged(server: "Server") -> str:
    """A logged model that was approved as a version, and as a copy of that version."""
    model = server.model()
    experiment = server.made(AUTHOR, "experiments/create", name=f"of-{model}")["experiment_id"]
    made = server.made(AUTHOR, "logged-models", experiment_id=experiment, name="m")["model"]["info"]
    folder = made["artifact_uri"].removeprefix("mlflow-artifacts:/")
    path = f"mlflow-artifacts/artifacts/{folder}/MLmodel"
    assert server.call(AUTHOR, "PUT", path, data=b"a model").status_code == 200
    body = {"name": model, "source": f"models:/{made['model_id']}", "model_id": made["model_id"]}
    version = server.made(AUTHOR, "model-versions/create", **body)["model_version"]["version"]
    one = f"mlflow/logged-models/{made['model_id']}"
    assert server.call(AUTHOR, "PATCH", f"{one}/tags", json={"tags": [{"key": "a", "value": "b"}]}).status_code == 200
    copy = {"name": server.model(), "source": f"models:/{model}/{version}"}
    copied = server.made(AUTHOR, "model-versions/create", **copy)["model_version"]["version"]
    approve(server, copy["name"], copied)
    return str(made["model_id"])


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("PATCH", "", {"status": "LOGGED_MODEL_UPLOAD_FAILED"}),
        ("DELETE", "", {}),
        ("PATCH", "/tags", {"tags": [{"key": "a", "value": "c"}]}),
        ("DELETE", "/tags/a", {}),
        ("POST", "/params", {"params": [{"key": "depth", "value": "9"}]}),
    ],
)
def test_an_approved_logged_model_is_closed_also_when_its_copy_was_approved(
    server: "Server", knock: Knock, logged: str, method: str, below: str, body: dict[str, Any]
) -> None:
    path = f"2.0/mlflow/logged-models/{logged}"
    before = server.call(AUTHOR, "GET", f"/api/{path}").json()
    for user in (AUTHOR, REVIEWER, ADMINISTRATOR):
        for twin in ("api", "ajax-api"):
            answer = knock(user, method, f"/{twin}/{path}{below}", body)
            assert answer.status == 403, answer
    assert "so it is closed" in answer.message
    assert knock(STRANGER, method, f"/api/{path}{below}", body).status == 401
    assert server.call(AUTHOR, "GET", f"/api/{path}").json() == before


def test_a_logged_model_that_nobody_approved_is_open(server: "Server", knock: Knock, model: str) -> None:
    experiment = server.made(AUTHOR, "experiments/create", name=f"open-{model}")["experiment_id"]
    made = server.made(AUTHOR, "logged-models", experiment_id=experiment, name="m")["model"]["info"]
    path = f"/api/2.0/mlflow/logged-models/{made['model_id']}"
    assert knock(AUTHOR, "PATCH", path, {"model_id": made["model_id"], "status": "LOGGED_MODEL_READY"}).status == 200
    assert knock(AUTHOR, "DELETE", path).status == 200
    assert knock(ADMINISTRATOR, "DELETE", f"{path}0").status == 404


def test_nothing_is_logged_in_the_name_of_a_closed_run(server: "Server", approved: str) -> None:
    experiment = server.call(AUTHOR, "GET", f"mlflow/runs/get?run_id={approved}").json()["run"]["info"]["experiment_id"]
    for user in (AUTHOR, ADMINISTRATOR):
        for key in ("source_run_id", "sourceRunId"):
            body = {"experiment_id": experiment, "name": "m", key: approved}
            assert server.post(user, "logged-models", **body).status_code == 403
