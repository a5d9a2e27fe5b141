"""Commands of reviewers and of who changes the policy, against the real server."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from flywheel.errors import FlywheelError, UsageError
from flywheel.events import EventKind
from flywheel.policy import Policy
from tests.registry.commands import run

if TYPE_CHECKING:
    from tests.registry.conftest import Server

pytestmark = pytest.mark.usefixtures("home")


def test_a_reviewer_sees_what_is_missing_reviews_and_approves(server: "Server") -> None:
    model = server.model(prefix="strict-two")
    version = server.register(model)
    lines = run("standing", model, version, "--user", "ada").splitlines()
    assert lines[0].startswith("missing  approvals")
    assert all(line.startswith("ok ") for line in lines[1:-1])
    assert "four eyes" in lines[-1]
    said = run("review", model, version, "request-changes", "--comment", "LGA?", "--user", "alan")
    assert said.startswith(f"alan: request_changes on version {version} of '{model}' (sha256:")
    assert run("standing", model, version, "--user", "grace").startswith("missing")
    assert not json.loads(run("standing", model, version, "--user", "grace", "--json"))["ready"]
    given = json.loads(run("review", model, version, "approve", "--user", "alan", "--json"))
    assert (given["decision"], given["reviewer"]) == ("approve", "alan")
    moved = json.loads(run("approve", model, version, "--user", "grace", "--json"))
    assert moved["stage"] == "Production"


def test_breaking_the_glass_says_so(server: "Server") -> None:
    model = server.model(prefix="frozen")
    version = server.register(model)
    with pytest.raises(FlywheelError, match="nothing goes to Production until 2100"):
        run("approve", model, version, "--user", "grace")
    with pytest.raises(FlywheelError, match="may not override"):
        run("approve", model, version, "--override", "Fire.", "--user", "grace")
    output = run("approve", model, version, "--override", "Fire.", "--user", "admin")
    assert output.startswith(f"Version {version} of '{model}' is in Production, by override of admin (sha256:")
    assert server.events(model, EventKind.OVERRIDDEN)[0].body["reason"] == "Fire."


def test_a_policy_is_shown_edited_proposed_listed_and_rejected(server: "Server", tmp_path: Path) -> None:
    shown = run("policy", "show", "--user", "ada")
    assert shown.splitlines()[1].startswith("# Policy 1, adopted ")
    document = yaml.safe_load(shown)
    assert list(document) == list(Policy.model_fields)  # in the order in which people write it
    assert json.loads(run("policy", "show", "--user", "ada", "--json"))["document"] == document
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump({**document, "production": {"approvals": 2}}))
    proposal = json.loads(run("policy", "propose", str(file), "--reason", "Two.", "--user", "ada", "--json"))
    number = str(proposal["number"])
    with pytest.raises(FlywheelError, match="ada proposed it, and others must approve it"):
        run("policy", "approve", number, "--user", "ada")
    assert f"Proposal {number} by ada is open, against policy 1, approved by nobody: Two." in run(
        "policy", "proposals", "--user", "vic"
    )
    assert "is rejected" in run("policy", "reject", number, "--comment", "Later.", "--user", "grace")
    listed = json.loads(run("policy", "proposals", "--user", "ada", "--json"))
    assert [one["status"] for one in listed if one["number"] == proposal["number"]] == ["rejected"]


def test_a_file_that_is_no_policy_is_wrong_use(server: "Server", tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    with pytest.raises(UsageError, match="cannot be read as text"):
        run("policy", "propose", str(file), "--reason", "x", "--user", "ada")
    file.write_text("people: {eve: emperor}")
    with pytest.raises(FlywheelError, match="role 'emperor' does not exist"):
        run("policy", "propose", str(file), "--reason", "x", "--user", "ada")
