"""The watch over accounts: every change is an event, and an alert where somebody could act as another.

An administrator sets passwords, so an administrator could log in as a reviewer and approve. MLflow has no way to forbid
it; here it does not stay unseen. The event is in the transaction of the change where accounts and trail share a
database, as in the stack; else it is recorded just before.
"""

from typing import Any

import sqlalchemy as sa
import structlog
from flask import Flask, Response, g, has_request_context, request
from mlflow.exceptions import MlflowException
from mlflow.server import handlers
from mlflow.server.auth.db.models import SqlUser
from sqlalchemy.orm import object_session

from flywheel import events
from flywheel.events import EventKind
from flywheel.policy import Role
from registry.access.accounts import (
    BY_POLICY,
    CREATED,
    DELETED,
    FLAG_GIVEN,
    FLAG_TAKEN,
    NEWCOMER,
    PASSWORD,
    POLICY,
    SERVER,
)
from registry.access.parts import part_of
from registry.caller import floor_policy

log = structlog.get_logger()
GRANTS = ("/mlflow/users/permissions/grant", "/mlflow/users/permissions/revoke")
ROLES = "/mlflow/roles/"
REGISTRY = "registry"  # the subject of an alert that is about no model


def watch_accounts(app: Flask) -> None:
    """Record changes from now on; call it before MLflow's login is added."""
    for name, listener in (("after_insert", _made), ("after_update", _changed), ("after_delete", _gone)):
        if not sa.event.contains(SqlUser, name, listener):
            sa.event.listen(SqlUser, name, listener)
    app.after_request(_granted)


def _made(_: Any, connection: sa.Connection, account: SqlUser) -> None:
    _record(connection, str(account.username), CREATED, _actor(account))
    if account.is_admin:
        _record(connection, str(account.username), FLAG_GIVEN, _actor(account))


def _changed(_: Any, connection: sa.Connection, account: SqlUser) -> None:
    state, user, actor = sa.inspect(account).attrs, str(account.username), _actor(account)
    if state.password_hash.history.has_changes():
        _record(connection, user, PASSWORD, actor)
    if state.is_admin.history.has_changes():
        _record(connection, user, FLAG_GIVEN if account.is_admin else FLAG_TAKEN, actor)


def _gone(_: Any, connection: sa.Connection, account: SqlUser) -> None:
    _record(connection, str(account.username), DELETED, _actor(account))


def _actor(account: SqlUser) -> str:
    session = object_session(account)
    if session is not None and session.info.get(BY_POLICY):
        return POLICY
    if not has_request_context():
        return SERVER
    return str(g.get("mlflow_authenticated_user") or g.get(NEWCOMER) or SERVER)


def _record(connection: sa.Connection, user: str, what: str, actor: str) -> None:
    if _has_trail(connection):
        _append(connection, user, what, actor)
        return
    engine = getattr(handlers._get_model_registry_store(), "engine", None)
    if engine is None or engine.dialect.name != "postgresql":
        log.warning("an account changed, and there is no audit trail to tell of it", user=user, what=what, actor=actor)
        return
    with engine.begin() as trail:
        _append(trail, user, what, actor)


def _has_trail(connection: sa.Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return False
    return bool(connection.scalar(sa.text("SELECT to_regclass('flywheel.events') IS NOT NULL")))


def _append(connection: sa.Connection, user: str, what: str, actor: str) -> None:
    subject = f"account:{user}"
    before = events.read(connection, EventKind.ACCOUNT_CHANGED, subject)
    events.append(connection, EventKind.ACCOUNT_CHANGED, subject, actor, {"user": user, "what": what})
    sentence = _alarming(user, what, actor, returned=any(event.body.get("what") == DELETED for event in before))
    if sentence is not None:
        log.warning("alert", what="account.changed", user=user, sentence=sentence)
        body = {"what": "account.changed", "user": user, "sentence": sentence}
        events.append(connection, EventKind.ALERT, REGISTRY, actor, body)


def _alarming(user: str, what: str, actor: str, *, returned: bool) -> str | None:
    """Say what may be wrong with a change; None where it is ordinary."""
    if actor in {user, POLICY}:
        return None
    if what == FLAG_GIVEN:
        if _is_administrator(user):  # as the policy wants it; the server's first start makes its own account so
            return None
        return f"{actor} made '{user}' an administrator past the policy, which takes that back. Ask {actor} why."
    acts = f"Until '{user}' sets one alone, {actor} could act in that name."
    said = {PASSWORD: f"set the password of '{user}'", DELETED: f"deleted the account of '{user}'"}
    if returned:
        said[CREATED] = f"made the account of '{user}' again, with a password"
    part = _weighty(user) if what in said else None
    if part is None:
        return None
    after = "Approvals in that name do not count any more." if what == DELETED else acts
    return f"{actor} {said[what]}, {part}. {after}"


def _is_administrator(user: str) -> bool:
    try:
        return part_of(user, floor_policy()).is_admin
    except MlflowException:
        return False


def _weighty(user: str) -> str | None:
    """Return what somebody is whose name opens doors: a role that reviews, or administrator."""
    try:
        policy = floor_policy()
    except MlflowException:
        return "perhaps a reviewer (the policy cannot be read)"
    role = policy.role(user)
    return str(role) if role in {*policy.may.review, Role.ADMINISTRATOR} else None


def _granted(response: Response) -> Response:
    # By hand given or taken permissions help nobody past the policy; the trail tells of them all the same.
    asked = request.path.endswith(GRANTS) or (ROLES in request.path and request.method != "GET")
    if asked and response.status_code == 200:
        document = request.get_json(silent=True) or {}
        user = str(document.get("username") or document.get("user_id") or document.get("role_id") or "")
        body = {
            "user": user,
            "what": request.path.partition("/mlflow/")[2],
            "asked": {k: str(v) for k, v in document.items()},
        }
        with handlers._get_model_registry_store().engine.begin() as connection:
            events.append(
                connection, EventKind.ACCOUNT_CHANGED, f"account:{user}", str(g.mlflow_authenticated_user), body
            )
    return response
