"""Requests that no page of another origin, and no odd path, brings past the door."""

import json
from typing import TYPE_CHECKING

import pytest

from registry.doors.doorway import is_own

if TYPE_CHECKING:
    from tests.registry.conftest import Server

CALL = "model-versions/transition-stage"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9", "http://localhost:9"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_page_of_another_origin_cannot_approve_in_a_reviewers_name(
    server: "Server", model: str, origin: str, kind: str
) -> None:
    version = server.register(model)
    body = json.dumps({"name": model, "version": version, "stage": "Production"})
    headers = {"Origin": origin, "Content-Type": kind}
    answer = server.call("grace", "POST", f"/ajax-api/2.0/mlflow/{CALL}", data=body, headers=headers)
    assert answer.status_code == 403
    assert f"A page of '{origin}'" in answer.json()["message"]
    assert server.version(model, version)["current_stage"] == "None"


def test_the_servers_own_page_can(server: "Server", model: str) -> None:
    body = {"name": model, "version": server.register(model), "stage": "Production"}
    headers = {"Origin": server.where.mlflow_url}
    answer = server.call("grace", "POST", f"/ajax-api/2.0/mlflow/{CALL}", json=body, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("ending", ["%0a", "%0d", "%00", "%7f"])
def test_a_control_character_does_not_lead_into_a_frozen_folder(server: "Server", model: str, ending: str) -> None:
    run, folder = server.run()
    server.made("ada", "model-versions/create", name=model, source=f"mlflow-artifacts:/{folder}", run_id=run)
    path = f"mlflow-artifacts/artifacts/{folder}/MLmodel"
    assert server.call("ada", "PUT", path + ending, data=b"other bytes").status_code == 400
    assert server.call("ada", "GET", path).text == f"MLmodel of {run}"


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("https://ml.example", "ml.example", True),
        ("http://ml.example:5000", "ml.example:5000", True),
        ("http://ml.example:5001", "ml.example:5000", False),
        ("http://ml.example@evil.example", "ml.example", False),
        ("https://named.example", "ml.example", True),
        ("null", "", False),
        ("", "", False),
    ],
)
def test_an_origin_is_the_servers_own_or_named_in_its_settings(
    monkeypatch: pytest.MonkeyPatch, origin: str, host: str, own: bool
) -> None:
    monkeypatch.setenv("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "https://other.example, https://named.example")
    assert is_own(origin, host) is own
