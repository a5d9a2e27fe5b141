"""Signatures on the real server: every registered version has one, and it fits nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersion

from flywheel.connections import login
from flywheel.errors import IntegrityError
from flywheel.events import EventKind
from flywheel.settings import Settings
from flywheel.signing import PUBLIC_KEY, add_meta, verify
from flywheel.tracking import Tracking
from tests.registry.conftest import Server
from training.packaging.champion import verify_predecessor


@pytest.fixture
def tracking(stack: Settings) -> Tracking:
    return Tracking.from_login(login(stack, "ada"))


def fetched(tracking: Tracking, model: str, version: str, folder: Path) -> Path:
    found = tracking.download(model, version, folder)
    add_meta(found, model, version)
    return found


def test_a_registered_version_is_signed_and_its_download_verifies(
    server: Server, model: str, tracking: Tracking, stack: Settings, tmp_path: Path
) -> None:
    version = server.register(model)
    event = server.events(model, EventKind.VERSION_SIGNED)[-1]
    assert event.body["version"] == version
    folder = fetched(tracking, model, version, tmp_path / "model")
    verify(folder, tracking.signature(model, version), stack.root / PUBLIC_KEY)
    (folder / "MLmodel").write_text("something else")
    with pytest.raises(IntegrityError, match="MLmodel"):
        verify(folder, tracking.signature(model, version), stack.root / PUBLIC_KEY)


def test_the_openssf_command_accepts_the_signature(
    server: Server, model: str, tracking: Tracking, stack: Settings, tmp_path: Path
) -> None:
    version = server.register(model)
    folder = fetched(tracking, model, version, tmp_path / "model")
    bundle = tmp_path / "model.sig"
    bundle.write_text(str(tracking.signature(model, version)))
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder), "--signature", str(bundle)]
    command += ["--public_key", str(stack.root / PUBLIC_KEY)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "succeeded" in found.stdout + found.stderr


def test_the_signature_of_one_version_is_none_for_another_with_the_same_bytes(
    server: Server, model: str, tracking: Tracking, stack: Settings, tmp_path: Path
) -> None:
    run, place = server.run()
    body = {"name": model, "source": f"mlflow-artifacts:/{place}", "run_id": run}
    for _ in range(2):
        server.made("ada", "model-versions/create", **body)
    folder = fetched(tracking, model, "1", tmp_path / "model")
    verify(folder, tracking.signature(model, "1"), stack.root / PUBLIC_KEY)
    with pytest.raises(IntegrityError, match="registered_model_meta"):
        verify(folder, tracking.signature(model, "2"), stack.root / PUBLIC_KEY)


def test_a_version_outside_the_artifact_store_is_registered_without_a_signature(
    server: Server, model: str, tracking: Tracking
) -> None:
    version = server.register(model, source="s3://elsewhere/model")
    assert tracking.signature(model, version) is None
    answer = server.call("grace", "POST", f"/flywheel/api/signature/{model}/{version}")
    assert answer.status_code == 409
    assert "artifact store" in answer.json()["message"]


def test_only_operators_add_a_signature_and_only_where_there_is_none(server: Server, model: str) -> None:
    version = server.register(model)
    path = f"/flywheel/api/signature/{model}/{version}"
    refused = server.call("ada", "POST", path)
    assert refused.status_code == 403
    assert "no operator or reviewer" in refused.json()["message"]
    again = server.call("grace", "POST", path)
    assert "has a signature already" in again.json()["message"]
    missing = server.call("ada", "GET", f"/flywheel/api/signature/{model}/99")
    assert missing.status_code == 404
    assert server.call(None, "GET", path).status_code == 401


def test_training_runs_no_predecessor_that_is_not_what_was_signed(
    server: Server, model: str, tracking: Tracking, stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = ModelVersion(model, server.register(model), 0)
    folder = fetched(tracking, model, str(version.version), tmp_path / "model")
    for name, value in login(stack, "ada").items():
        monkeypatch.setenv(name, value)
    verify_predecessor(version, folder)
    (folder / "data" / "model.bin").write_text("other weights")
    with pytest.raises(IntegrityError, match=f"Version 1 of '{model}' is not what was signed"):
        verify_predecessor(version, folder)
    unsigned = ModelVersion(model, server.register(model, source="s3://elsewhere/model"), 0)
    with pytest.raises(IntegrityError, match="has no signature"):
        verify_predecessor(unsigned, folder)
    monkeypatch.delenv("FLYWHEEL_VERIFY_KEY")
    verify_predecessor(unsigned, folder)
