"""Accounts as the audit trail tells of them: who has one, and whose password somebody else set.

Pure, or on a connection that is given: the gate asks it too. `registry.access.watch` writes what is read here.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa

from flywheel.events import EVENTS, Event, EventKind, from_row

CREATED, PASSWORD, DELETED, FLAG_GIVEN, FLAG_TAKEN = "created", "password", "deleted", "flag given", "flag taken"
SERVER = "server"  # who acts when no login asked, such as while the server sets itself up
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


@dataclass(frozen=True)
class Borrowed:
    """From which event to which (None: still) somebody else could act in a name: they had set its password."""

    by: str
    since: int
    until: int | None = None


@dataclass(frozen=True)
class Logins:
    """Whose word counts: who has an account, and when others could act in a name.

    Args:
        known: Accounts there are; None where the registry cannot see them.
        borrowed: By name, oldest first.
    """

    known: frozenset[str] | None = None
    borrowed: Mapping[str, tuple[Borrowed, ...]] = field(default_factory=dict)

    def fault(self, user: str, seq: int | None = None) -> str | None:
        """Return why what somebody says now, or said in event `seq`, does not count: the end of a sentence."""
        if self.known is not None and user not in self.known:
            return f"{user} has no account any more"
        span = self.borrower(user, seq)
        if span is None:
            return None
        first = "" if span.until else "set one alone and then "
        return f"{span.by} had set the password of {user}, who must {first}say it again"

    def borrower(self, user: str, seq: int | None = None) -> Borrowed | None:
        """Return who else could act in a name, now or when event `seq` was recorded; None when nobody could."""
        for span in self.borrowed.get(user, ()):
            ends = span.until or math.inf
            if ends == math.inf if seq is None else span.since < seq < ends:
                return span
        return None


def read_logins(connection: sa.Connection, users: Iterable[str]) -> Logins:
    """Read what is known of some people's accounts."""
    subjects = [f"account:{user}" for user in users]
    query = sa.select(*EVENTS.columns).where(EVENTS.c.subject.in_(subjects)).order_by(EVENTS.c.seq)
    trail = [from_row(row) for row in connection.execute(query).mappings()]
    return Logins(known_accounts(connection), borrowed_names(trail))


def borrowed_names(trail: Iterable[Event]) -> dict[str, tuple[Borrowed, ...]]:
    """Return when somebody else could act in a name: from setting its password until its owner sets one.

    The first password of a new account is always somebody else's, and does not count.
    """
    found: dict[str, tuple[Borrowed, ...]] = {}
    seen: set[str] = set()
    for event in trail:
        user, what = str(event.body.get("user")), event.body.get("what")
        if event.kind != EventKind.ACCOUNT_CHANGED or what not in {CREATED, PASSWORD}:
            continue
        spans, first = found.get(user, ()), what == CREATED and user not in seen
        seen.add(user)
        if spans and spans[-1].until is None:
            spans = (*spans[:-1], replace(spans[-1], until=event.seq))
        if event.actor not in {user, SERVER} and not first:
            spans = (*spans, Borrowed(event.actor, event.seq))
        found[user] = spans
    return found


def known_accounts(connection: sa.Connection) -> frozenset[str] | None:
    """Return the accounts that there are now, seen from the registry's database; None when MLflow keeps them elsewhere.

    For judgements: what somebody said who has left since does not count.
    """
    if not connection.scalar(sa.text("SELECT to_regclass('users') IS NOT NULL")):
        return None
    return frozenset(connection.scalars(sa.text("SELECT username FROM users")))
