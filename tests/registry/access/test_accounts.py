"""Accounts in the audit trail, on a real server."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from flywheel.events import GENESIS, Event, EventKind, chained
from flywheel.identities import ADMIN
from registry.access.accounts import Logins, borrowed_names, foreign_passwords, known_accounts
from tests.registry.access.conftest import eventually

if TYPE_CHECKING:
    from tests.registry.access.conftest import Apart


def alerts(apart: "Apart", user: str) -> list[str]:
    return [str(event.body["sentence"]) for event in apart.trail(EventKind.ALERT) if event.body.get("user") == user]


def changes(apart: "Apart", user: str) -> list[tuple[str, str]]:
    found = apart.trail(EventKind.ACCOUNT_CHANGED, f"account:{user}")
    return [(event.actor, str(event.body["what"])) for event in found]


def set_by(apart: "Apart", actor: str, user: str, password: str) -> None:
    body = {"username": user, "password": password}
    if actor == user:
        body["current_password"] = apart.passwords[user]
    assert apart.call(actor, "PATCH", "mlflow/users/update-password", json=body).status_code == 200
    apart.passwords[user] = password


def set_alone(apart: "Apart", user: str) -> None:
    set_by(apart, user, user, f"set-alone-{uuid.uuid4().hex}")


def version(apart: "Apart") -> tuple[str, str]:
    """A model and its version, made by ada, in the artifact store."""
    name, experiment = apart.model(), f"access-{uuid.uuid4().hex[:12]}"
    made = apart.call("ada", "POST", "mlflow/experiments/create", json={"name": experiment}).json()["experiment_id"]
    run = apart.call("ada", "POST", "mlflow/runs/create", json={"experiment_id": made}).json()["run"]["info"]["run_id"]
    place = f"{made}/{run}/artifacts/model"
    assert apart.call("ada", "PUT", f"mlflow-artifacts/artifacts/{place}/MLmodel", data=b"flavors: {}").ok
    body = {"name": name, "source": f"mlflow-artifacts:/{place}", "run_id": run}
    answer = apart.call("ada", "POST", "mlflow/model-versions/create", json=body)
    assert answer.status_code == 200, answer.text
    return name, str(answer.json()["model_version"]["version"])


def test_what_is_said_under_a_password_that_another_set_does_not_count(apart: "Apart") -> None:
    name, number = version(apart)
    review, standing = f"/flywheel/api/review/{name}/{number}", f"/flywheel/api/standing/{name}/{number}"
    move = {"name": name, "version": number, "stage": "Production", "archive_existing_versions": False}
    vote = apart.call("ada", "POST", "/flywheel/api/policy/proposals", json={"document": "{}", "reason": "A test."})
    ballot = f"/flywheel/api/policy/proposals/{vote.json()['number']}"

    def needs() -> str:
        found = apart.call("ada", "GET", standing).json()["needs"]
        return next(str(need["sentence"]) for need in found if need["name"] == "approvals")

    assert apart.call("rosa", "POST", review, json={"decision": "reject", "comment": "No."}).status_code == 200
    set_by(apart, ADMIN, "rosa", "known to the administrator")
    assert apart.call("rosa", "POST", review, json={"decision": "withdraw"}).status_code == 200
    rejected = apart.call("grace", "POST", "mlflow/model-versions/transition-stage", json=move)
    assert "rejected by rosa" in rejected.json()["message"]
    for path, body in [
        (review, {"decision": "approve"}),
        ("mlflow/model-versions/transition-stage", move),
        (f"{ballot}/approve", {}),
        ("/flywheel/api/policy/proposals", {"document": "{}", "reason": "Mine alone."}),
    ]:
        refused = apart.call("rosa", "POST", path, json=body)
        assert refused.status_code == 403, refused.text
        assert "admin had set the password of rosa, who must set one alone" in refused.json()["message"]

    set_alone(apart, "rosa")
    assert apart.call("rosa", "POST", review, json={"decision": "approve"}).status_code == 200
    assert "1 of 1 approval by rosa" in needs()
    set_by(apart, ADMIN, "rosa", "known to the administrator")
    assert "1 of 1 approval by rosa" in needs()  # said before, by rosa alone
    set_alone(apart, "rosa")
    assert apart.call("rosa", "POST", f"{ballot}/reject", json={"comment": "A test."}).status_code == 200


def test_the_approval_of_a_reviewer_without_an_account_does_not_count(apart: "Apart") -> None:
    name, number = version(apart)
    review, standing = f"/flywheel/api/review/{name}/{number}", f"/flywheel/api/standing/{name}/{number}"
    assert apart.call("rosa", "POST", review, json={"decision": "approve"}).status_code == 200
    assert apart.call(ADMIN, "DELETE", "mlflow/users/delete", json={"username": "rosa"}).status_code == 200
    try:
        needs = {need["name"]: need["sentence"] for need in apart.call("ada", "GET", standing).json()["needs"]}
        assert "0 of 1 approval" in needs["approvals"]
        assert "The approval of rosa does not count: rosa has no account any more." in needs["approvals"]
    finally:
        again = {"username": "rosa", "password": apart.passwords["rosa"]}
        assert apart.call(ADMIN, "POST", "mlflow/users/create", json=again).status_code == 200
        set_alone(apart, "rosa")


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ([("admin", "created")], [True]),  # somebody has to set the first password
        ([("admin", "created"), ("admin", "password")], [True, False]),
        ([("admin", "created"), ("admin", "password"), ("grace", "password")], [True, False, True]),
        ([("admin", "created"), ("admin", "deleted"), ("admin", "created")], [True, True, False]),
        ([("grace", "created"), ("admin", "password"), ("root", "password")], [True, False, False]),
        ([("server", "created"), ("server", "password")], [True, True]),  # no login asked for that
    ],
)
def test_a_word_counts_when_nobody_else_could_have_said_it(said: list[tuple[str, str]], counts: list[bool]) -> None:
    trail = told(*[(actor, "grace", what) for actor, what in said])
    spread = [replace(event, seq=event.seq * 10) for event in trail]  # something is said after each of them
    logins = Logins(frozenset({"grace"}), borrowed_names(spread))
    assert [logins.fault("grace", event.seq + 5) is None for event in spread] == counts
    assert (logins.fault("grace") is None) == counts[-1]


def test_a_password_that_an_administrator_sets_for_a_reviewer_raises_an_alert(apart: "Apart") -> None:
    count = len(alerts(apart, "rosa"))
    before, new = apart.passwords["rosa"], f"set-by-admin-{uuid.uuid4().hex}"
    body = {"username": "rosa", "password": new}
    assert apart.call(ADMIN, "PATCH", "mlflow/users/update-password", json=body).status_code == 200
    assert apart.each_worker(lambda: apart.call("rosa", "GET", "mlflow/users/current").status_code) == {401}
    assert changes(apart, "rosa")[-1] == (ADMIN, "password")
    assert alerts(apart, "rosa")[-1] == (
        "admin set the password of 'rosa', reviewer. Until 'rosa' sets one alone, admin could act in that name."
    )
    assert foreign_passwords(apart.trail())["rosa"].by == ADMIN

    apart.passwords["rosa"] = new
    own = {"username": "rosa", "password": before, "current_password": new}
    assert apart.call("rosa", "PATCH", "mlflow/users/update-password", json=own).status_code == 200
    apart.passwords["rosa"] = before
    assert changes(apart, "rosa")[-1] == ("rosa", "password")
    assert "rosa" not in foreign_passwords(apart.trail())
    assert len(alerts(apart, "rosa")) == count + 1


def test_a_reviewers_account_that_is_deleted_and_made_again_raises_two_alerts(apart: "Apart") -> None:
    count = len(alerts(apart, "grace"))
    assert apart.call(ADMIN, "DELETE", "mlflow/users/delete", json={"username": "grace"}).status_code == 200
    with apart.engine.connect() as connection:
        assert "grace" not in (known_accounts(connection) or {"grace"})
    body = {"username": "grace", "password": apart.passwords["grace"]}
    assert apart.call(ADMIN, "POST", "mlflow/users/create", json=body).status_code == 200
    with apart.engine.connect() as connection:
        assert "grace" in (known_accounts(connection) or {})
    said = alerts(apart, "grace")[count:]
    assert [sentence.split("'grace'")[0] for sentence in said] == [
        "admin deleted the account of ",
        "admin made the account of ",
    ]
    set_alone(apart, "grace")


def test_the_account_that_sets_the_server_up_raises_no_alert(apart: "Apart") -> None:
    assert ("server", "flag given") in changes(apart, ADMIN)
    assert alerts(apart, ADMIN) == []


def test_others_accounts_are_told_of_without_an_alert(apart: "Apart") -> None:
    user = f"plain-{uuid.uuid4().hex[:8]}"
    login = {"username": user, "password": "a long enough password"}
    assert apart.call(ADMIN, "POST", "mlflow/users/create", json=login).status_code == 200
    assert apart.call(ADMIN, "PATCH", "mlflow/users/update-password", json=login | {"password": "b" * 20}).ok
    assert apart.call(ADMIN, "DELETE", "mlflow/users/delete", json={"username": user}).ok
    assert changes(apart, user) == [(ADMIN, "created"), (ADMIN, "password"), (ADMIN, "deleted")]
    assert alerts(apart, user) == []


def test_an_administrator_past_the_policy_raises_an_alert_and_does_not_last(apart: "Apart") -> None:
    body = {"username": "sam", "is_admin": True}
    assert apart.call(ADMIN, "PATCH", "mlflow/users/update-admin", json=body).status_code == 200
    assert "made 'sam' an administrator past the policy" in alerts(apart, "sam")[-1]
    # Sam's very next change is judged by the policy, in whichever worker.
    made = {"username": f"evil-{uuid.uuid4().hex[:8]}", "password": "a long enough password"}
    ask = lambda: apart.call("sam", "POST", "mlflow/users/create", json=made).status_code  # noqa: E731
    assert apart.each_worker(ask) == {403}
    apart_flag = lambda: (  # noqa: E731
        apart.tag("ada", apart.model()).status_code,
        apart.call(ADMIN, "GET", "mlflow/users/get?username=sam").json()["user"]["is_admin"],
    )
    eventually(apart_flag, (200, False))
    assert changes(apart, "sam")[-1] == ("policy", "flag taken")


def test_a_change_that_mlflow_refuses_leaves_no_event(apart: "Apart") -> None:
    before = changes(apart, "ada")
    again = {"username": "ada", "password": "a long enough password"}
    assert apart.call(ADMIN, "POST", "mlflow/users/create", json=again).status_code == 400
    short = {"username": "ada", "password": "x"}
    assert apart.call(ADMIN, "PATCH", "mlflow/users/update-password", json=short).status_code == 400
    assert changes(apart, "ada") == before


def test_permissions_given_by_hand_are_told_of(apart: "Apart") -> None:
    body = {"username": "vera", "resource_type": "registered_model", "resource_id": apart.model(), "permission": "EDIT"}
    assert apart.call(ADMIN, "POST", "/api/3.0/mlflow/users/permissions/grant", json=body).status_code == 200
    assert changes(apart, "vera")[-1] == (ADMIN, "users/permissions/grant")
    assert apart.tag("vera", body["resource_id"]).status_code == 403


def told(*said: tuple[str, str, str]) -> list[Event]:
    head, found = GENESIS, []
    for actor, user, what in said:
        body = {"user": user, "what": what}
        event = chained(head, EventKind.ACCOUNT_CHANGED, f"account:{user}", actor, body, datetime.now(UTC))
        head = type(head)(event.seq, event.hash)
        found.append(event)
    return found


@pytest.mark.parametrize(
    ("said", "by"),
    [
        ([("admin", "grace", "created")], "admin"),
        ([("grace", "grace", "created")], None),  # came by single sign-on
        ([("admin", "grace", "created"), ("grace", "grace", "password")], None),
        ([("grace", "grace", "created"), ("admin", "grace", "password")], "admin"),
        ([("admin", "grace", "password"), ("admin", "grace", "deleted")], None),
        ([("admin", "grace", "created"), ("policy", "grace", "flag given")], "admin"),
    ],
)
def test_whose_password_somebody_else_knows_follows_from_the_trail(
    said: list[tuple[str, str, str]], by: str | None
) -> None:
    found = foreign_passwords(told(*said)).get("grace")
    assert (found.by if found else None) == by
