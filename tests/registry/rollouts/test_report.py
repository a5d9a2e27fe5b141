"""A rollout's report on the real server: kept when it ends, past the freeze, and nothing that was approved changes."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from flywheel.connections import secrets
from flywheel.errors import FlywheelError, UsageError
from flywheel.events import EventKind
from flywheel.identities import CONTROLLER
from flywheel.settings import Settings
from registry.doors.holders import version_above
from tests.registry.commands import run
from tests.registry.conftest import ARTIFACTS, Server
from tests.registry.rollouts.conftest import Controller

DEADLINE = 240.0  # seconds; reports are written one by one, each by a process that imports mlflow, and others may wait


def kept(server: Server, run_id: str) -> list[str]:
    """Return the files in a run's folder `rollout`."""
    found = server.call("ada", "GET", f"mlflow/artifacts/list?run_id={run_id}&path=rollout")
    assert found.status_code == 200, found.text
    return [str(one["path"]) for one in found.json().get("files", [])]


def read(server: Server, run_id: str, path: str) -> str:
    info = server.call("ada", "GET", f"mlflow/runs/get?run_id={run_id}").json()["run"]["info"]
    folder = str(info["artifact_uri"]).removeprefix("mlflow-artifacts:/")
    answer = server.call("ada", "GET", f"{ARTIFACTS}/{folder}/{path}")
    assert answer.status_code == 200, answer.text
    return answer.content.decode()


def approved(server: Server, model: str) -> tuple[str, str]:
    """Register and approve a version; return its number and its run."""
    version = server.register(model)
    assert server.move("grace", model, version, "Production").status_code == 200
    return version, str(server.version(model, version)["run_id"])


def test_the_end_of_a_rollout_leaves_a_report_on_the_versions_closed_run(
    server: Server, model: str, controller: Controller
) -> None:
    approved(server, model)
    version, run_id = approved(server, model)
    before = server.version(model, version)["tags"]["flywheel.digest"]
    name = controller.start(model, version)
    controller.change(EventKind.ROLLOUT_STEP, name, "intent", "done", step=0, percent=10)
    assert not kept(server, run_id)
    controller.change(EventKind.ROLLOUT_ROLLED_BACK, name, "intent", "done", cause="verdict")
    until = time.monotonic() + DEADLINE
    while not (files := kept(server, run_id)) and time.monotonic() < until:
        time.sleep(0.5)
    assert files == [f"rollout/{name}.html"]
    text = read(server, run_id, files[0])
    assert name in text
    assert "Rolled back" in text
    # What was approved is what it was: the version can be measured and approved again, and its run stays closed.
    alias = {"name": model, "alias": "champion", "version": version}
    assert server.post(CONTROLLER, "registered-models/alias", **alias).status_code == 200
    assert server.version(model, version)["tags"]["flywheel.digest"] == before
    folder = server.version(model, version)["source"].removeprefix("mlflow-artifacts:/").removesuffix("/model")
    for path in (f"rollout/{name}.html", "rollout/other.html"):
        refused = server.call("ada", "PUT", f"{ARTIFACTS}/{folder}/{path}", data=b"mine")
        assert refused.status_code == 403, refused.text
    assert read(server, run_id, files[0]) == text


def test_a_report_is_one_file_that_asks_for_nothing(server: Server, going: str) -> None:
    answer = server.call("vic", "GET", f"/flywheel/api/rollouts/{going}/report")
    assert answer.status_code == 200, answer.text
    text = answer.json()["html"]
    assert "10 % of the traffic" in text
    assert not re.findall(r"<script|(?:src|href)=\"(?!#|data:)|url\(", text)
    assert set(re.findall(r'href="#(turn-\d+)"', text)) <= set(re.findall(r'id="(turn-\d+)"', text))
    # Made again it has the same bytes, so that one delivered twice changes nothing.
    assert server.call("vic", "GET", f"/flywheel/api/rollouts/{going}/report").json()["html"] == text


@pytest.mark.usefixtures("home")
def test_people_write_it_by_hand_to_the_run_or_to_a_file(server: Server, going: str, tmp_path: Path) -> None:
    name, run_id = f"{going}-v2-bbbbbbbb-1", str(server.version(going, "2")["run_id"])
    assert run("rollouts", "report", going, "--user", "olga") == f"Kept as rollout/{name}.html on run {run_id}.\n"
    assert kept(server, run_id) == [f"rollout/{name}.html"]
    file = tmp_path / "report.html"
    assert str(file) in run("rollouts", "report", going, "--rollout", name, "--html", str(file), "--user", "vic")
    assert file.read_text() == read(server, run_id, f"rollout/{name}.html")
    assert run("rollouts", "list", going, "--user", "vic").count(name) == 1
    assert json.loads(run("rollouts", "list", going, "--user", "vic", "--json"))["rollouts"][0]["version"] == "2"
    with pytest.raises(FlywheelError, match="is no operator or reviewer"):
        run("rollouts", "report", going, "--user", "ada")
    with pytest.raises(FlywheelError, match="has had no rollout 'another'"):
        run("rollouts", "report", going, "--rollout", "another", "--user", "olga")
    with pytest.raises(UsageError, match="cannot be written"):
        run("rollouts", "report", going, "--html", str(tmp_path / "no" / "x.html"), "--user", "vic")


def test_a_report_never_comes_to_lie_in_a_versions_folder(
    server: Server, model: str, controller: Controller, stack: Settings
) -> None:
    server.register(model)
    run_id, folder = server.run()
    root = folder.removesuffix("/model")  # a careless author registers all that the run has logged
    answer = server.call("ada", "PUT", f"{ARTIFACTS}/{root}/MLmodel", data=b"flavors: {}")
    assert answer.status_code == 200
    body = {"name": model, "source": f"mlflow-artifacts:/{root}", "run_id": run_id}
    version = str(server.made("ada", "model-versions/create", **body)["model_version"]["version"])
    name = controller.start(model, version)
    refused = server.call("olga", "POST", f"/flywheel/api/rollouts/{model}/report", json={})
    assert refused.status_code == 409
    assert f"version {version} of '{model}', which is frozen" in refused.json()["message"]
    assert not kept(server, run_id)
    engine = sa.create_engine(secrets(stack).databases["server"])
    assert version_above(engine, f"{root}/rollout/{name}.html") == f"{version} of '{model}'"
    assert version_above(engine, "0/rollout/x.html") is None
    engine.dispose()


def test_a_version_whose_run_is_gone_is_said(server: Server, going: str) -> None:
    run_id = str(server.version(going, "2")["run_id"])
    assert server.post("ada", "runs/delete", run_id=run_id).status_code == 200
    refused = server.call("olga", "POST", f"/flywheel/api/rollouts/{going}/report", json={})
    assert (refused.status_code, "has no run" in refused.json()["message"]) == (409, True)


def test_the_process_that_writes_them_says_what_it_can_and_comes_again_when_it_may(
    server: Server, going: str, stack: Settings, tmp_path: Path
) -> None:
    store = tmp_path / "store"  # as a server without our stack has it
    settings = {"MLFLOW_BACKEND_STORE_URI": secrets(stack).databases["server"], "FLYWHEEL_HOME": str(stack.root)}
    given = {**os.environ, **settings, "MLFLOW_ARTIFACTS_DESTINATION": str(store)}
    name = f"{going}-v2-bbbbbbbb-1"

    def write(rollout: str, environment: dict[str, str]) -> tuple[int, str]:
        command = [sys.executable, "-m", "registry.rollouts", going, rollout]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    code, said = write(name, given)
    assert code == 0, said
    assert [path.name for path in store.rglob("*.html")] == [f"{name}.html"]
    code, said = write("another", given)
    assert (code, "has had no rollout 'another'" in said) == (0, True)  # never: it would stand in the way for good
    code, said = write(name, {key: text for key, text in given.items() if key != "MLFLOW_ARTIFACTS_DESTINATION"})
    assert (code, "set MLFLOW_ARTIFACTS_DESTINATION" in said) == (1, True)
    store.joinpath("blocked").write_text("")
    code, said = write(name, {**given, "MLFLOW_ARTIFACTS_DESTINATION": str(store / "blocked")})
    assert (code, "artifact store does not take" in said) == (1, True)
