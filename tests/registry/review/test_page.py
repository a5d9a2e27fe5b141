"""The review pages: what a reviewer reads, and a click that goes through the gate."""

import shutil
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from playwright.sync_api import sync_playwright

from flywheel.events import EventKind, append
from flywheel.identities import AGENTS, CONTROLLER

ARTIFACTS = "mlflow-artifacts/artifacts"

if TYPE_CHECKING:
    from tests.registry.conftest import Server


@pytest.fixture
def pair(server: "Server", model: str) -> tuple[str, str, str]:
    """A model with a champion and a candidate, each with a metric, a parameter and a dataset."""
    champion = described(server, model, roc_auc=0.71, depth="6")
    assert server.move("grace", model, champion, "Production").status_code == 200
    server.made(CONTROLLER, "registered-models/alias", name=model, alias="champion", version=champion)
    return model, champion, described(server, model, roc_auc=0.73, depth="8")


def described(server: "Server", model: str, roc_auc: float, depth: str) -> str:
    version = server.register(model)
    run = server.version(model, version)["run_id"]
    metric = {"key": "roc_auc", "value": roc_auc, "timestamp": 1, "step": 0}
    server.made("ada", "runs/log-batch", run_id=run, metrics=[metric], params=[{"key": "depth", "value": depth}])
    dataset = {"name": "flights", "digest": f"d{depth}", "source_type": "python", "source": "{}"}
    server.made("ada", "runs/log-inputs", run_id=run, datasets=[{"dataset": dataset, "tags": []}])
    return version


@pytest.fixture
def explained(server: "Server", model: str) -> tuple[str, str]:
    """A version whose run has intervals, a comparison with its champion, and documents."""
    run, folder = server.run()
    values = {"test_rmse": 4.2, "test_rmse_low": 4.0, "test_rmse_high": 4.5, "test_rows": 1200.0}
    values |= {"test_loss_over_champion": -0.4, "test_loss_over_champion_low": -0.7}
    values |= {"test_loss_over_champion_high": -0.1}
    metrics = [{"key": key, "value": value, "timestamp": 1, "step": 0} for key, value in values.items()]
    server.made("ada", "runs/log-batch", run_id=run, metrics=metrics)
    for name in ("card.html", "model.html"):
        path = f"{ARTIFACTS}/{folder.removesuffix('/model')}/{name}"
        assert server.call("ada", "PUT", path, data=b"<p>What it is.</p>").status_code == 200
    tags = [{"key": "semver", "value": "1.2.0"}, {"key": "semver_reason", "value": "A new window of data."}]
    source = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run, "tags": tags}
    return model, str(server.made("ada", "model-versions/create", **source)["model_version"]["version"])


def page(server: "Server", user: str | None, path: str) -> tuple[int, str]:
    response = server.call(user, "GET", f"/flywheel/review/{path}")
    return response.status_code, response.text


def test_a_stranger_sees_no_page(server: "Server", pair: tuple[str, str, str]) -> None:
    assert page(server, None, "")[0] == 401
    assert page(server, None, f"{pair[0]}/{pair[2]}")[0] == 401


def test_anybody_logged_in_may_read(server: "Server", pair: tuple[str, str, str]) -> None:
    assert page(server, AGENTS, "")[0] == 200
    assert page(server, AGENTS, f"{pair[0]}/{pair[2]}")[0] == 200


def test_the_page_shows_the_candidate_beside_the_champion(server: "Server", pair: tuple[str, str, str]) -> None:
    _, text = page(server, "grace", f"{pair[0]}/{pair[2]}")
    for shown in (
        "0.7300",
        "0.7100",
        "+0.0200",
        "Neither is called better",
        "depth",
        "d8",
        "d6",
        "version.created",
        "Move to Production",
    ):
        assert shown in text


def test_the_page_shows_intervals_the_semantic_version_and_what_there_is_to_read(
    server: "Server", explained: tuple[str, str]
) -> None:
    text = page(server, "grace", "/".join(explained))[1]
    assert "(4.0000 to 4.5000)" in text
    assert "test_rmse_low" not in text
    assert "−0.4000" in text
    assert "between −0.7000 and −0.1000" in text
    assert "1.2.0" in text
    assert "A new window of data." in text
    assert "/artifacts/card.html" in text
    assert "checks.html" not in text


def test_the_author_reads_what_is_missing_and_finds_no_button(server: "Server", pair: tuple[str, str, str]) -> None:
    _, text = page(server, "ada", f"{pair[0]}/{pair[2]}")
    assert "its author may not approve it (four eyes). A reviewer (alan, grace) can" in text
    assert 'data-stage="Production"' not in text


def test_the_list_names_what_waits_and_not_what_is_in_production(server: "Server", pair: tuple[str, str, str]) -> None:
    model, champion, candidate = pair
    _, text = page(server, "grace", "")
    assert f"/flywheel/review/{model}/{candidate}" in text
    assert f"/flywheel/review/{model}/{champion}" not in text


def test_a_version_that_does_not_exist_is_a_404_with_a_way_on(server: "Server") -> None:
    status, text = page(server, "grace", "nothing/1")
    assert status == 404
    assert "See the versions that wait" in text


def test_what_people_write_is_escaped(server: "Server", model: str) -> None:
    version = server.register(model)
    run = server.version(model, version)["run_id"]
    server.made("ada", "runs/log-batch", run_id=run, params=[{"key": "p", "value": "<script>alert(1)</script>"}])
    assert "<script>alert(1)" not in page(server, "grace", f"{model}/{version}")[1]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_a_reviewers_click_goes_through_the_gate(server: "Server", pair: tuple[str, str, str]) -> None:
    model, _, candidate = pair
    login = {"username": "grace", "password": server.known.users["grace"]}
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_context(http_credentials=login, viewport={"width": 400, "height": 800}).new_page()  # type: ignore[arg-type]
        view.goto(f"{server.where.mlflow_url}/flywheel/review/{model}/{candidate}")
        assert view.evaluate("document.documentElement.scrollWidth") == 400
        view.click("text=Move to Production")
        view.wait_for_selector("text=Approved.")
        browser.close()
    assert server.version(model, candidate)["current_stage"] == "Production"


def test_a_version_that_was_rolled_back_is_refused_and_its_page_says_why(
    server: "Server", pair: tuple[str, str, str]
) -> None:
    model, _, candidate = pair
    engine = sa.create_engine(server.known.databases["controller"], poolclass=sa.NullPool)
    body = {"rollout": "r", "cause": "verdict", "reason": "6 of 35 requests failed.", "state": "done"}
    with engine.begin() as connection:
        append(connection, EventKind.ROLLOUT_ROLLED_BACK, f"{model}/{candidate}", CONTROLLER, body)
    refused = server.move("grace", model, candidate, "Production")
    assert refused.status_code == 403
    assert "was rolled back: 6 of 35 requests failed. Train a new version." in refused.json()["message"]
    _, text = page(server, "grace", f"{model}/{candidate}")
    assert "was rolled back: 6 of 35 requests failed." in text
    assert "Move to Production" not in text
