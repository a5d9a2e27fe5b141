"""MLflow's deployment client on a running stack: what it changes goes through approvals and the controller."""

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

import deploy.deployments
from deploy.deployment_changes import Changes
from deploy.deployments import FlywheelDeploymentClient
from deploy.loop.reconcile import ROLLED_BACK
from flywheel.settings import Settings
from tests.deploy.conftest import ENVIRONMENT, wait_for
from tests.deploy.deploy_tiny import FolderRegistry
from tests.deploy.shop import Shop, open_shop


@pytest.fixture
def shop(stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    made = open_shop(stack, f"plugin-{uuid.uuid4().hex[:8]}", tmp_path / "registry")
    tiny = {"FLYWHEEL_HOME": str(stack.root), "TINY_REGISTRY": str(made.registry), "TINY_USECASE": made.name}
    for name, value in {**ENVIRONMENT, **tiny}.items():
        monkeypatch.setenv(name, value)
    command = (sys.executable, "-m", "tests.deploy.deploy_tiny")
    monkeypatch.setattr(deploy.deployments, "Changes", lambda home: Changes(home, FolderRegistry, command))
    yield made
    made.close()


def test_a_client_creates_updates_and_deletes_what_reviewers_have_decided(shop: Shop) -> None:
    client, name = FlywheelDeploymentClient("flywheel"), shop.name
    with pytest.raises(MlflowException, match=r"There is no version 99 of"):
        client.create_deployment(name, f"models:/{name}/99")
    (shop.registry / "stages.json").write_text(json.dumps({"1": "Staging"}))
    with pytest.raises(MlflowException, match=r"Version 1 .* is not approved. Have a reviewer"):
        client.create_deployment(name, f"models:/{name}/1")
    assert shop.programs() == set()
    shop.approve("1")
    created = client.create_deployment(name, f"models:/{name}/1")
    assert created.items() >= {"name": name, "flavor": "flywheel", "version": "1", "outcome": "live"}.items()
    assert client.get_deployment(name) == {"name": name, "champion": "1", "percent": {"1": 100}}

    shop.approve("2", failing=True)  # bytes of its own
    (shop.registry / "2" / "more").write_text("these are not the bytes that were approved")
    with pytest.raises(MlflowException, match=r"Version 2 was rolled back: .* is not what was approved"):
        client.update_deployment(name, f"models:/{name}/2")
    assert client.get_deployment(name)["percent"] == {"1": 100}
    with pytest.raises(MlflowException, match="is not approved"):
        client.update_deployment(name, f"models:/{name}/2")

    with pytest.raises(MlflowException, match="Have a reviewer archive it first"):
        client.delete_deployment(name, config={"reason": "a test"})
    (shop.registry / "stages.json").write_text(json.dumps({"1": "Archived", "2": "Archived"}))
    client.delete_deployment(name, config={"reason": "a test"})
    assert client.list_deployments(name) == []
    assert shop.programs() == set()


def test_who_does_not_wait_is_told_where_the_log_is(shop: Shop) -> None:
    shop.approve("1")
    client = FlywheelDeploymentClient("flywheel")
    started = client.create_deployment(shop.name, f"models:/{shop.name}/1", config={"wait": "false"})
    assert started["outcome"] == "started"
    wait_for(lambda: client.list_deployments(shop.name) != [], "the deployment")
    wait_for(lambda: f"{shop.name}: version 1 is live" in Path(started["log"]).read_text(), "the log's last line")


def test_a_version_whose_environment_cannot_be_built_is_rolled_back_and_the_champion_is_untouched(
    shop: Shop, serving: Path
) -> None:
    client, name = FlywheelDeploymentClient("flywheel"), shop.name
    shop.approve("1")
    client.create_deployment(name, f"models:/{name}/1")
    before = shop.pids()
    serving.write_text(f"use_cases: {{{name}: {{env_manager: virtualenv}}}}")
    shop.approve("2", failing=True)  # bytes of its own, and no lock
    reason = r"Version 2 was rolled back: The environment of .* version 2 cannot be built: Lock .* cannot be used"
    with pytest.raises(MlflowException, match=reason) as caught:
        client.update_deployment(name, f"models:/{name}/2")
    assert "The end of its log:" in str(caught.value)
    assert client.get_deployment(name) == {"name": name, "champion": "1", "percent": {"1": 100}}
    assert shop.pids() == before


def test_a_version_whose_environment_could_not_be_built_goes_live_once_it_is_approved_anew(
    shop: Shop, serving: Path
) -> None:
    serving.write_text(f"use_cases: {{{shop.name}: {{env_manager: virtualenv}}}}")
    shop.approve("1")
    assert shop.controller().wait(120) == ROLLED_BACK
    said = (shop.registry / "controller.log").read_text()
    assert said.count("cannot be built") == 1
    assert said.endswith("Version 1 was rolled back: the reason stands above.\n")
    assert shop.controller().wait(60) == 0  # which leaves it back: nobody has asked for it again
    serving.unlink()
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    assert FlywheelDeploymentClient("flywheel").get_deployment(shop.name)["champion"] == "1"
