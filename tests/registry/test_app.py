"""The server around MLflow: grants, and pages with the stage control on."""

from typing import TYPE_CHECKING

import pytest

from flywheel.identities import CONTROLLER, MONITORING, TRAINING

if TYPE_CHECKING:
    from tests.registry.conftest import Server


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
