"""Accounts as the audit trail tells of them: who has one, and whose password somebody else set.

Pure, or on a connection that is given: the gate asks it too. `registry.access.watch` writes what is read here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from flywheel.events import Event, EventKind

CREATED, PASSWORD, DELETED, FLAG_GIVEN, FLAG_TAKEN = "created", "password", "deleted", "flag given", "flag taken"
POLICY = "policy"  # who acts when the policy gives or takes MLflow's administrator flag
NEWCOMER = "flywheel_newcomer"  # in flask.g: whose account is made because they came by single sign-on
BY_POLICY = "flywheel_by_policy"  # in a session's info: what it changes, the policy has changed


@dataclass(frozen=True)
class SetBy:
    """Who set the password that an account has, and when (UTC)."""

    by: str
    at: datetime


def foreign_passwords(trail: Iterable[Event]) -> dict[str, SetBy]:
    """Return the accounts whose password somebody else set last, who could therefore act in their name since then."""
    found: dict[str, SetBy] = {}
    for event in trail:
        if event.kind != EventKind.ACCOUNT_CHANGED:
            continue
        user, what = str(event.body.get("user")), event.body.get("what")
        if what == DELETED or (what in {CREATED, PASSWORD} and event.actor == user):
            found.pop(user, None)
        elif what in {CREATED, PASSWORD}:
            found[user] = SetBy(event.actor, event.at)
    return found


def known_accounts(connection: sa.Connection) -> frozenset[str] | None:
    """Return the accounts that there are now, seen from the registry's database; None when MLflow keeps them elsewhere.

    For judgements: what somebody said who has left since does not count.
    """
    if not connection.scalar(sa.text("SELECT to_regclass('users') IS NOT NULL")):
        return None
    return frozenset(connection.scalars(sa.text("SELECT username FROM users")))
