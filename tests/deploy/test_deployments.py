"""MLflow's own client and command line ask a real gateway, before a real agent, through the target `flywheel`."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from deploy.deployments import FlywheelDeploymentClient, run_local, target_help
from deploy.gateway.traffic import Backend, Replica, Split
from tests.deploy.conftest import ENVIRONMENT, ROOT, RunningAgent, row
from tests.deploy.gateway.test_gateway import Site, running_site

Start = Callable[..., RunningAgent]


@pytest.fixture
def site(start_agent: Start, tiny_scorer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A home whose gateway sends all of `tiny` to one agent."""
    agent = start_agent(tiny_scorer)
    home = tmp_path / "home"
    with running_site(home) as site:
        backend = Backend("tiny", "1", (Replica(int(agent.url.rsplit(":", 1)[1])),))
        site.backends["1"] = backend
        site.route(Split(backend))
        addresses = {"stack_id": "s", "mlflow_url": "", "envoy_admin_url": "", "s3_url": "", "supervisor_socket": "s"}
        (home / "run").mkdir(exist_ok=True)
        (home / "run" / "endpoints.json").write_text(json.dumps(addresses | {"gateway_url": site.url}))
        monkeypatch.setenv("FLYWHEEL_HOME", str(home))
        yield site


def test_a_frame_rows_columns_and_a_whole_request_get_the_same_predictions(site: Site) -> None:
    client = FlywheelDeploymentClient(f"flywheel:{site.url}")
    rows = [row(chance=0.25, gap=1.5), row(chance=0.5)]
    asked: list[Any] = [
        pd.DataFrame(rows).assign(at=lambda frame: pd.to_datetime(frame["at"])),
        rows,
        {name: [one[name] for one in rows] for name in rows[0]},
        {"instances": rows},
    ]
    for inputs in asked:
        answer = client.predict(endpoint="tiny", inputs=inputs)
        assert answer.get_predictions()["probability"].tolist() == [0.25, 0.5]


def test_what_is_refused_is_said_in_the_agents_sentence(site: Site) -> None:
    client = FlywheelDeploymentClient("flywheel")
    with pytest.raises(MlflowException, match=r"answered 422 \(row 1\): Column 'count' takes a whole number") as caught:
        client.predict("tiny", [row(), row(count=1.5)])
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    with pytest.raises(MlflowException, match="'other' answered 404"):
        client.predict("other", [row()])


def test_what_is_live_is_read_from_the_home(site: Site) -> None:
    client = FlywheelDeploymentClient("flywheel")
    expected = {"name": "tiny", "champion": "1", "percent": {"1": 100}}
    assert client.list_deployments() == client.list_endpoints() == [expected]
    assert client.get_deployment("tiny") == client.get_endpoint("tiny") == expected
    with pytest.raises(MlflowException, match="'other' is not live here"):
        client.get_deployment("other")
    with pytest.raises(MlflowException, match="Ask on its machine"):
        FlywheelDeploymentClient("flywheel:http://127.0.0.1:1").list_deployments()


def test_what_a_client_may_not_do_is_refused_before_anything_is_asked(site: Site) -> None:
    client = FlywheelDeploymentClient("flywheel")
    refusals: dict[str, Callable[[], object]] = {
        "is live already. Update it instead": lambda: client.create_deployment("tiny", "models:/tiny/1"),
        "'models:/other/1' is no version of 'tiny'": lambda: client.update_deployment("tiny", "models:/other/1"),
        "config 'weight' is not known": lambda: client.update_deployment("tiny", config={"weight": "50"}),
        "'other' is not live here": lambda: client.update_deployment("other"),
        "Say why 'tiny' goes out of service, as config 'reason'": lambda: client.delete_deployment("tiny"),
        "Delete the deployment 'tiny' instead, with config 'reason'": lambda: client.delete_endpoint("tiny"),
        "in the registry and `flywheel deploy` rolls it out": lambda: run_local("flywheel", "tiny", "models:/tiny/1"),
    }
    for sentence, refused in refusals.items():
        with pytest.raises(MlflowException, match=re.escape(sentence)):
            refused()
    assert "mlflow deployments create" in target_help()


@pytest.mark.parametrize("target", ["flywheel:ftp://x", "flywheel:8080", "flywheel:http://"])
def test_a_target_that_is_no_gateway_is_refused(target: str) -> None:
    with pytest.raises(MlflowException, match="is no gateway"):
        FlywheelDeploymentClient(target)


def test_a_gateway_that_does_not_answer_is_said_to_be_so() -> None:
    client = FlywheelDeploymentClient("flywheel:http://127.0.0.1:1")
    with pytest.raises(MlflowException, match="does not answer") as caught:
        client.predict("tiny", [row()])
    assert caught.value.error_code == "TEMPORARILY_UNAVAILABLE"


def test_mlflows_command_line_finds_the_target_by_its_entry_point(site: Site, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([row(chance=0.25), row(chance=0.75)]))
    mlflow = [sys.executable, "-m", "mlflow", "deployments"]
    command = [*mlflow, "predict", "-t", "flywheel", "--name", "tiny"]
    environment = ENVIRONMENT | {
        "FLYWHEEL_HOME": os.environ["FLYWHEEL_HOME"],
        "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}{_installed(tmp_path)}",
    }
    done = subprocess.run(
        [*command, "-I", str(rows)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"predictions": [{"probability": 0.25}, {"probability": 0.75}]}
    asked = ["update", "-t", "flywheel", "--name", "tiny", "-m", "models:/tiny@nope"]
    refused = subprocess.run(
        [*mlflow, *asked], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr == "Error: 'models:/tiny@nope' is no version of 'tiny'. Write models:/tiny/VERSION.\n"


def _installed(folder: Path) -> Path:
    """Write what installing this project writes of its entry points, as pyproject.toml has them now."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [f"{name} = {module}" for name, module in document["project"]["entry-points"]["mlflow.deployments"].items()]
    info = folder / "site" / "flywheel_deployments_as_declared-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: flywheel-deployments-as-declared\nVersion: 0\n")
    (info / "entry_points.txt").write_text("\n".join(["[mlflow.deployments]", *lines, ""]))
    return info.parent
