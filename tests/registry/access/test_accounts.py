"""Accounts in the audit trail, on a real server."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from flywheel.events import GENESIS, Event, EventKind, chained
from flywheel.identities import ADMIN
from registry.access.accounts import foreign_passwords, known_accounts
from tests.registry.access.conftest import eventually

if TYPE_CHECKING:
    from tests.registry.access.conftest import Apart


def alerts(apart: "Apart", user: str) -> list[str]:
    return [str(event.body["sentence"]) for event in apart.trail(EventKind.ALERT) if event.body.get("user") == user]


def changes(apart: "Apart", user: str) -> list[tuple[str, str]]:
    found = apart.trail(EventKind.ACCOUNT_CHANGED, f"account:{user}")
    return [(event.actor, str(event.body["what"])) for event in found]


def test_a_password_that_an_administrator_sets_for_a_reviewer_raises_an_alert(apart: "Apart") -> None:
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
    assert len(alerts(apart, "rosa")) == 1


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
