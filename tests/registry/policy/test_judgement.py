"""What Production needs, judged on real bytes, lineage and events."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from flywheel.events import EventKind
from flywheel.identities import CONTROLLER, GATES, TRAINING
from flywheel.package import Lineage
from flywheel.settings import Settings
from registry.gates.evidence import Measurement, Outcome, evidence_body
from registry.policy import amendment
from tests.registry.own_store import POLICY, OwnStore, own_store

pytestmark = pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning")

LIMITS = {"size_mb": 30.0, "champion_margin": 0.0}
OLD, NEW = "a" * 40, "b" * 40


def lineage(**changes: Any) -> str:
    """The text of a lineage.json of a clean commit, whose contributors are known and none."""
    known: dict[str, Any] = {
        "usecase": "x",
        "as_of": "2026-01-01T00:00:00",
        "trained_at": "2026-01-01T00:00:00",
        "run_id": "r",
        "study": "s",
        "trials": 1,
        "seed": 7,
        "family": "f",
        "params": {},
        "data_digest": "sha256:d",
        "data_rows": 1,
        "usecase_digest": "sha256:u",
        "source_digest": "",
        "features_digest": "sha256:f",
        "git_commit": OLD,
        "git_dirty": False,
        "python": "3.11",
        "packages": {},
        "lock_digest": "sha256:l",
        "contributors": [],
        "contributors_unknown": "",
    }
    return Lineage.model_validate({**known, **changes}).model_dump_json()


def package(own: OwnStore, model: str, user: str = "ada", **changes: Any) -> str:
    return own.register(model, user, artifacts__package__lineage=lineage(**changes))


def champion(own: OwnStore, model: str, **changes: Any) -> str:
    """Register a version, approve it and make it champion."""
    version = package(own, model, **changes)
    assert own.move("grace", model, version) == ""
    own.by(CONTROLLER).set_registered_model_alias(model, "champion", version)
    return version


def measured(
    own: OwnStore, model: str, version: str, outcome: Outcome = Outcome.PASS, gate: str = "size", **changes: Any
) -> None:
    """Record a gate's evidence on a version's bytes, as the gates' job does."""
    digest = own.store.get_model_version(model, version).tags["flywheel.digest"]
    found = Measurement(outcome, "It weighs 3 MB.", value=3.0)
    known: dict[str, Any] = {"digest": digest, "command": "flywheel gates run", "limits": LIMITS, "champion": None}
    body = evidence_body(model, version, gate, found, **{**known, **changes})
    own.record(EventKind.GATE_MEASURED, f"{model}/{version}", GATES, body)


@pytest.fixture(autouse=True)
def name_of_lineage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named by keywords, which hold no dot."""
    write = OwnStore.write

    def written(self: OwnStore, path: str, name: str, text: str) -> None:
        endings = {"lineage": ".json", "usecase": ".yaml"}
        write(self, path, name + endings.get(name.rpartition("/")[2], ""), text)

    monkeypatch.setattr(OwnStore, "write", written)


def test_who_wrote_a_commit_since_the_champion_may_not_approve(own: OwnStore) -> None:
    model = own.model()
    first = champion(own, model)
    commits = {"git_commit": NEW, "parent": first, "contributors_since": OLD}
    version = package(own, model, contributors=["Grace@example.org", "ada@example.org"], **commits)
    refusal = own.move("grace", model, version)
    assert f"grace contributed to version {version} of '{model}', and who contributed may not approve it" in refusal
    assert "A reviewer (alan) can make this transition." in refusal
    assert own.move("alan", model, version) == ""


def test_a_contributors_earlier_approval_does_not_count(own: OwnStore) -> None:
    model = own.model("strict")
    version = package(own, model, contributors=["alan@example.org"])
    refusal = own.move("grace", model, version)
    assert "needs 1 more, the one of grace who moves it included: nobody in the policy can approve" in refusal


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"contributors_unknown": "its clone is shallow"}, "its clone is shallow"),
        ({"contributors": ["stranger@example.org"]}, "nobody in the policy commits as stranger@example.org"),
        (
            {"parent": "77", "contributors_since": OLD},
            "its commits are counted from version 77, which was never approved",
        ),
        (
            {"parent": "1", "contributors_since": NEW},
            f"its commits are counted from {NEW[:12]}, which is not the commit of version 1",
        ),
    ],
)
def test_contributors_that_are_not_all_known_are_refused_where_the_policy_says_so(
    own: OwnStore, changes: dict[str, Any], told: str
) -> None:
    model = own.model("known")
    champion(own, model)
    version = package(own, model, **changes)
    assert f"who contributed to it is not known: {told}" in own.move("grace", model, version)


def test_the_lineage_that_counts_is_that_of_the_bytes_now(own: OwnStore) -> None:
    model = own.model()
    version = package(own, model)
    rewritten = lineage(contributors=["grace@example.org"])
    own.write(own.path(model, version), "artifacts/package/lineage", rewritten)
    assert "grace contributed" in own.move("grace", model, version)


def test_changed_bytes_void_approvals_and_evidence(own: OwnStore) -> None:
    model = own.model("gated")
    version = package(own, model)
    measured(own, model, version)
    own.review("alan", model, version)
    own.write(own.path(model, version), "MLmodel", "flavors: {changed: true}")
    refusal = own.move("grace", model, version)
    assert "gate size was run on other bytes than the version has now; run it again: flywheel gates run " in refusal
    assert "--gate size." in refusal
    standing = own.by("grace").standing(model, version, "grace")
    assert standing.ready  # of the bytes that were registered; the move measures again
    strict = own.model("strict")
    other = package(own, strict)
    own.review("alan", strict, other)
    own.write(own.path(strict, other), "MLmodel", "flavors: {changed: true}")
    assert "The approval of alan does not count: it is about other bytes than the version has now." in own.move(
        "grace", strict, other
    )
    own.review("alan", strict, other)
    assert own.move("grace", strict, other) == ""


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        ({"outcome": Outcome.FAIL}, "gate size failed: It weighs 3 MB."),
        ({"outcome": Outcome.COULD_NOT_RUN}, "gate size could not run: It weighs 3 MB."),
        ({"digest": "sha256:other"}, "gate size was run on other bytes"),
        ({}, ""),
    ],
)
def test_a_gates_evidence_must_say_pass_of_these_bytes(own: OwnStore, evidence: dict[str, Any], told: str) -> None:
    model = own.model("gated")
    version = package(own, model)
    assert "gate size has not been run on it. Run: flywheel gates run" in own.move("grace", model, version)
    measured(own, model, version, **evidence)
    assert told in own.move("grace", model, version)
    assert (own.store.get_model_version(model, version).current_stage == "Production") == (told == "")


def test_a_gate_that_the_use_case_adds_is_needed_too(own: OwnStore) -> None:
    model = own.model()
    usecase = {
        "name": "churn",
        "data": {
            "source": {"kind": "csv", "path": "x.csv"},
            "event_time": "at",
            "label": {"column": "y"},
        },
        "gates": {"required": ["size"]},
    }
    files = {"artifacts__package__usecase": yaml.safe_dump(usecase), "artifacts__package__lineage": lineage()}
    version = own.register(model, **files)
    assert "gate size has not been run" in own.move("grace", model, version)
    measured(own, model, version)
    assert own.move("grace", model, version) == ""


def test_newer_evidence_replaces_older(own: OwnStore) -> None:
    model = own.model("gated")
    version = package(own, model)
    measured(own, model, version)
    measured(own, model, version, Outcome.FAIL)
    assert "failed" in own.move("grace", model, version)
    measured(own, model, version)
    assert own.move("grace", model, version) == ""


def test_evidence_against_another_champion_is_stale(own: OwnStore) -> None:
    model = own.model("champion")
    version = package(own, model)
    measured(own, model, version, gate="champion")
    first = package(own, model)
    measured(own, model, first, gate="champion")
    assert own.move("grace", model, first) == ""
    own.by(CONTROLLER).set_registered_model_alias(model, "champion", first)
    assert "gate champion is stale: the champion is another one now" in own.move("grace", model, version)
    now = own.store.get_model_version(model, first).tags["flywheel.digest"]
    measured(own, model, version, gate="champion", champion=now)
    assert own.move("grace", model, version) == ""


def test_the_champion_itself_is_compared_with_nobody(own: OwnStore) -> None:
    model = own.model("champion")
    first, second = package(own, model), package(own, model)
    measured(own, model, first, gate="champion")
    assert own.move("grace", model, first) == ""
    own.by(CONTROLLER).set_registered_model_alias(model, "champion", first)
    before = own.store.get_model_version(model, first).tags["flywheel.digest"]
    measured(own, model, second, gate="champion", champion=before)
    assert own.move("grace", model, second) == ""
    own.by(CONTROLLER).set_registered_model_alias(model, "champion", second)
    # It was compared with the one before, and is not stale now that it is champion itself.
    needs = own.store.standing(model, second, "grace").needs
    assert [need.met for need in needs if need.name == "gate:champion"] == [True]
    # An archived champion, which the gate measures against nobody, can be approved again.
    assert own.move(CONTROLLER, model, second, "Archived") == ""
    measured(own, model, second, gate="champion")
    assert own.move("grace", model, second) == ""


def test_evidence_against_looser_limits_than_today_is_stale(own: OwnStore) -> None:
    model = own.model("small")
    version = package(own, model)
    measured(own, model, version, limits={"size_mb": 60})
    assert "gate size is stale: its limits were tightened since" in own.move("grace", model, version)
    measured(own, model, version, limits={"size_mb": 40, "onnx": 1})
    assert own.move("grace", model, version) == ""


def test_what_is_older_than_the_policy_lets_it_be_does_not_count(
    own: OwnStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own.model("aging")
    version = package(own, model)
    measured(own, model, version)
    own.review("alan", model, version)
    later = datetime.now(UTC) + timedelta(days=8)
    monkeypatch.setattr(own.store, "clock", lambda: later)
    refusal = own.move("grace", model, version)
    assert "The approval of alan does not count: it is older than 7 days." in refusal
    assert "Gate size is stale: it was run more than 7 days ago" in refusal


def test_the_approval_of_a_reviewer_who_left_does_not_count(stack: Settings, tmp_path: Path) -> None:
    people: dict[str, Any] = {**POLICY["people"], "mary": "reviewer"}  # type: ignore[dict-item]
    with own_store(stack, tmp_path, {**POLICY, "people": people}) as own:
        model = own.model("strict")
        version = package(own, model)
        own.review("alan", model, version)
        left = yaml.safe_dump({**POLICY, "people": {**people, "alan": "viewer"}})
        amendment.propose(own.store.engine, "admin", left, "Alan leaves.")
        amendment.approve(own.store.engine, "grace", 1, "")
        refusal = own.move("grace", model, version)
        assert "The approval of alan does not count: alan is no reviewer any more." in refusal
        assert "mary can approve" in refusal
        assert "'alan' is no reviewer" in own.move("alan", model, version)


def test_a_version_that_was_rolled_back_does_not_come_back_even_by_override(own: OwnStore) -> None:
    model = own.model()
    version = package(own, model)
    body = {"reason": "6 of 35 requests failed.", "cause": "verdict"}
    own.record(EventKind.ROLLOUT_ROLLED_BACK, f"{model}/{version}", CONTROLLER, body)
    told = f"version {version} of '{model}' was rolled back: 6 of 35 requests failed. Train a new version."
    assert told in own.move("grace", model, version)
    with pytest.raises(Exception, match=r"Override to Production refused: version .* was rolled back"):
        own.by("admin").override(model, version, "I insist.")


class TestRobots:
    """A service's version of the champion's code on newer data."""

    LATER = "2026-02-01T00:00:00"

    @pytest.fixture
    def model(self, own: OwnStore) -> str:
        name = own.model("robot")
        version = package(own, name)
        measured(own, name, version)
        assert own.move("grace", name, version) == ""
        own.by(CONTROLLER).set_registered_model_alias(name, "champion", version)
        return name

    def test_passes_on_green_gates_alone_and_an_event_says_so(self, own: OwnStore, model: str) -> None:
        version = package(own, model, TRAINING, as_of=self.LATER)
        assert "gate size has not been run" in own.move(TRAINING, model, version)
        measured(own, model, version)
        assert own.move(TRAINING, model, version) == ""
        moved = own.events(model, EventKind.TRANSITION)[-1]
        assert moved.body["grounds"] == "on green gates alone (size), as production.robots allows"

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"as_of": LATER, "git_commit": NEW}, "its commit is not the champion's"),
            ({"as_of": LATER, "git_commit": None}, "its commit is not the champion's"),
            ({"as_of": LATER, "git_dirty": True}, "uncommitted changes"),
            ({"as_of": LATER, "features_digest": "sha256:x"}, "features, use case or environment"),
            ({"as_of": LATER, "lock_digest": "sha256:x"}, "features, use case or environment"),
            ({}, "its data are not newer"),
        ],
    )
    def test_more_than_newer_data_needs_a_reviewer(
        self, own: OwnStore, model: str, changes: dict[str, Any], told: str
    ) -> None:
        version = package(own, model, TRAINING, **changes)
        measured(own, model, version)
        refusal = own.move(TRAINING, model, version)
        assert "is no patch of the champion: " in refusal
        assert told in refusal
        assert own.move("grace", model, version) == ""

    def test_a_persons_version_is_none(self, own: OwnStore, model: str) -> None:
        version = package(own, model, "ada", as_of=self.LATER)
        measured(own, model, version)
        assert "only a service's versions pass on gates alone" in own.move(TRAINING, model, version)

    def test_a_reviewers_objection_holds_it(self, own: OwnStore, model: str) -> None:
        version = package(own, model, TRAINING, as_of=self.LATER)
        measured(own, model, version)
        own.review("alan", model, version, "reject", "Not during the fair.")
        assert "rejected by alan" in own.move(TRAINING, model, version)

    def test_is_refused_where_the_policy_does_not_allow_it(self, own: OwnStore) -> None:
        name = own.model("gated")
        version = package(own, name, TRAINING)
        measured(own, name, version)
        assert "its author may not approve it" in own.move(TRAINING, name, version)
        assert f"'{GATES}' is no reviewer" in own.move(GATES, name, version)


def test_a_model_made_anew_inherits_no_review_from_its_name(own: OwnStore) -> None:
    model = own.model("strict")
    version = package(own, model)
    own.review("alan", model, version)
    own.by("ada").delete_registered_model(model)
    own.by("ada").create_registered_model(model)
    assert package(own, model) == version
    assert "needs 1 more" in own.move("grace", model, version)


def test_a_damaged_lineage_is_an_unknown_origin(own: OwnStore) -> None:
    model = own.model("known")
    version = own.register(model, artifacts__package__lineage=json.dumps({"usecase": "x"}))
    assert "its lineage cannot be read" in own.move("grace", model, version)
