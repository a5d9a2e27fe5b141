"""Gates run the candidate's code: only of what the server signed, where that is demanded."""

from pathlib import Path

import pytest

from flywheel.connections import login
from flywheel.settings import Settings
from flywheel.signing import PUBLIC_KEY, add_meta
from flywheel.tracking import Tracking
from registry.gates.job import Fetched, Subject, verified
from tests.registry.conftest import Server


def test_no_gate_runs_on_a_version_that_is_not_what_was_signed(
    server: Server, model: str, stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = server.register(model)
    folder = Tracking.from_login(login(stack, "ada")).download(model, version, tmp_path / "model")
    add_meta(folder, model, version)
    subject, fetched = Subject(model, version, ""), Fetched(folder, "sha256:0")
    monkeypatch.setenv("FLYWHEEL_VERIFY_KEY", str(stack.root / PUBLIC_KEY))
    assert verified(server.engine, subject, fetched) == fetched
    (folder / "added.py").write_text("print()")
    refused = verified(server.engine, subject, fetched)
    assert refused.folder is None
    assert "is not what was signed" in refused.fault
    monkeypatch.delenv("FLYWHEEL_VERIFY_KEY")
    assert verified(server.engine, subject, fetched) == fetched
