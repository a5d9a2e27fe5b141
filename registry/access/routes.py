"""Routes of service tokens, below `/flywheel/api/tokens`; and what this room adds to MLflow's app."""

from datetime import UTC, datetime
from typing import Any

from flask import Flask
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.server import handlers

from flywheel import events
from flywheel.identities import SERVICES
from registry.access import passwords
from registry.access.login import BOOK, tell_basic_logins
from registry.access.parts import Part
from registry.access.tokens import DAYS, MOST_DAYS, SCOPES, Token, all_tokens, find, issue, revoke
from registry.access.watch import watch_accounts
from registry.caller import caller, denied
from registry.doors.census import Area
from registry.routes import add_route, body

LONGEST_NAME = 100


def add_routes(app: Flask) -> None:
    """Add them; call it before MLflow's login is added, which then guards them."""
    add_route(app, "POST", "tokens", _issue)
    add_route(app, "GET", "tokens", _list)
    add_route(app, "DELETE", "tokens/<number>", _revoke)
    tell_basic_logins(app)
    watch_accounts(app)


def _issue() -> dict[str, Any]:
    actor, asked = caller(), body(required=("name", "scopes"), optional=("user", "days"))
    user = asked.get("user", "").strip() or actor
    name, days, scopes = _name(asked["name"]), _days(asked.get("days", str(DAYS))), _scopes(asked["scopes"])
    _judge_owner(actor, user, "issue tokens for")
    _judge_scopes(user, BOOK.part(user), scopes)
    now = datetime.now(UTC)
    with _engine().begin() as connection:
        token, text = issue(connection, actor, user=user, name=name, scopes=scopes, days=days, now=now)
    return {"token": text, **token.shown(now)}


def _list() -> dict[str, Any]:
    actor, now = caller(), datetime.now(UTC)
    everything = BOOK.part(actor).is_admin
    with _engine().connect() as connection:
        found = all_tokens(connection)
    return {"tokens": [token.shown(now) for token in found if everything or token.user == actor]}


def _revoke(number: str) -> dict[str, Any]:
    actor, now = caller(), datetime.now(UTC)
    with _engine().begin() as connection:
        events.lock_head(connection)
        token = find(connection, number)
        if token is None or not _may_see(actor, token):
            raise MlflowException(f"There is no token '{number}'. See `flywheel token list`.", RESOURCE_DOES_NOT_EXIST)
        return revoke(connection, actor, token, now).shown(now)


def _may_see(actor: str, token: Token) -> bool:
    return token.user == actor or BOOK.part(actor).is_admin


def _judge_owner(actor: str, user: str, what: str) -> None:
    if user == actor:
        return
    if not BOOK.part(actor).is_admin:
        raise denied(f"'{actor}' may not {what} '{user}'. Issue one for yourself.")
    if user not in SERVICES:
        raise denied(f"Nobody may {what} another person: it would let '{actor}' act as '{user}'. Ask '{user}'.")
    if passwords.account(user) is None:
        raise MlflowException(f"There is no account '{user}'. `flywheel up` makes it.", RESOURCE_DOES_NOT_EXIST)


def _judge_scopes(user: str, part: Part, scopes: set[Area]) -> None:
    beyond = sorted(scopes - part.areas)
    if beyond:
        has = ", ".join(sorted(scope for scope in SCOPES if scope in part.areas))
        raise denied(f"A token of '{user}' cannot have scope '{beyond[0]}': {part.name} has {has}. Leave it out.")


def _name(text: str) -> str:
    name = text.strip()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise _wrong(f"A token's name is one line of at most {LONGEST_NAME} characters. Shorten it.")
    return name


def _days(text: str) -> int:
    # `isdecimal` would let other scripts' digits and any length pass.
    days = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_DAYS)) else 0
    if not 1 <= days <= MOST_DAYS:
        raise _wrong(f"A token lives for 1 to {MOST_DAYS} days, not '{text}'. Choose a number of days.")
    return days


def _scopes(text: str) -> set[Area]:
    named = {word.strip() for word in text.split(",") if word.strip()}
    for word in sorted(named):
        if word not in SCOPES:
            raise _wrong(f"Scope '{word}' is not known. Choose from: {', '.join(SCOPES)}.")
    if not named:
        raise _wrong(f"A token needs a scope. Choose from: {', '.join(SCOPES)}.")
    return {Area(word) for word in named}


def _wrong(message: str) -> MlflowException:
    return MlflowException(message, INVALID_PARAMETER_VALUE)


def _engine() -> Any:
    return handlers._get_model_registry_store().engine
