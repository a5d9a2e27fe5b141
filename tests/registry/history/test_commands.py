"""history, diff, rollback and signature as people type them."""

import json
from pathlib import Path

import pytest

from flywheel.connections import login
from flywheel.errors import FlywheelError, UsageError
from flywheel.identities import CONTROLLER
from flywheel.settings import Settings
from flywheel.signing import add_meta
from flywheel.tracking import Tracking
from tests.registry.commands import run
from tests.registry.conftest import Server

pytestmark = pytest.mark.usefixtures("home")


def promoted(server: Server, model: str) -> str:
    version = server.register(model)
    assert server.move("grace", model, version, "Production").status_code == 200
    alias = {"name": model, "alias": "champion", "version": version}
    assert server.post(CONTROLLER, "registered-models/alias", **alias).status_code == 200
    return version


def test_a_rollback_and_the_history_that_tells_of_it(server: Server, model: str) -> None:
    promoted(server, model)
    promoted(server, model)
    server.move(CONTROLLER, model, "1", "Archived")
    said = run("rollback", model, "--reason", "late flights are missed", "--user", "grace")
    assert said == f"Version 1 of '{model}' is back in Production; archived: 2. Now: flywheel deploy\n"
    # The controller moves the alias once the version is live.
    alias = {"name": model, "alias": "champion", "version": "1"}
    assert server.post(CONTROLLER, "registered-models/alias", **alias).status_code == 200
    told = run("history", model, "--user", "ada")
    assert "champion: version 1 since" in told
    assert "brought back by grace" in told
    assert "late flights are missed" in told
    document = json.loads(run("history", model, "--json", "--user", "ada"))
    assert [one["version"] for one in document["champions"]] == ["1", "2", "1"]
    assert f"b: {model}/2" in run("diff", f"{model}@champion", f"models:/{model}/2", "--user", "ada")
    assert json.loads(run("diff", f"{model}/1", f"{model}/2", "--json", "--user", "ada"))["a"] == f"{model}/1"


def test_what_is_refused_is_one_sentence(server: Server, model: str) -> None:
    with pytest.raises(FlywheelError, match="is no operator or reviewer"):
        run("rollback", model, "--user", "ada")
    with pytest.raises(FlywheelError, match="no version to go back to"):
        run("rollback", model, "--user", "grace")
    with pytest.raises(FlywheelError, match="names no version"):
        run("diff", model, model, "--user", "ada")
    with pytest.raises(FlywheelError, match="is no time"):
        run("history", model, "--at", "yesterday", "--user", "ada")
    with pytest.raises(UsageError, match="not known here"):
        run("history", model, "--user", "nobody")


def test_a_download_is_verified_and_a_changed_one_is_not(
    server: Server, model: str, stack: Settings, tmp_path: Path
) -> None:
    version = server.register(model)
    folder = Tracking.from_login(login(stack, "ada")).download(model, version, tmp_path / "model")
    add_meta(folder, model, version)
    asked = ("signature", "verify", str(folder))
    assert "is what was signed" in run(*asked, "--model", model, "--version", version, "--user", "ada")
    bundle = tmp_path / "model.sig"
    bundle.write_text(run("signature", "export", model, version, "--user", "ada"))
    run(*asked, "--bundle", str(bundle))
    (folder / "MLmodel").write_text("something else")
    with pytest.raises(FlywheelError, match="MLmodel"):
        run(*asked, "--bundle", str(bundle))
    with pytest.raises(UsageError, match="Name the signature"):
        run(*asked)
    with pytest.raises(UsageError, match="is no folder"):
        run("signature", "verify", str(tmp_path / "missing"))
    with pytest.raises(FlywheelError, match="has a signature already"):
        run("signature", "add", model, version, "--user", "grace")
