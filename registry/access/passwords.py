"""MLflow's passwords, checked at the speed of MLflow's cache and without its staleness.

A password costs tens of milliseconds to check, by design. What was right once is remembered together with the stored
hash it was right for, and each request compares that with the hash of now (one indexed read, 0.2 ms). So a changed
password and a deleted account end at once, in every worker; MLflow's own cache would keep them alive for its lifetime
in the workers that did not make the change.
"""

import hmac
import secrets
import threading

from flask import g
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.server import auth
from werkzeug.security import check_password_hash

from registry.access.accounts import NEWCOMER
from registry.glance import glance

REMEMBERED = 10_000
_KEY = secrets.token_bytes(32)  # of this process: what is remembered tells nothing about passwords
_right: dict[tuple[str, bytes], str] = {}
_lock = threading.Lock()
STORED = "SELECT id, password_hash FROM users WHERE username = %(user)s"


def account_by(user: str, password: str) -> int | None:
    """Return the number of the account that has this name and this password now."""
    number, stored = _stored(user)
    if number is None:
        return None
    key = (user, hmac.digest(_KEY, password.encode(), "sha256"))
    with _lock:
        if _right.get(key) == stored:
            return number
    if not check_password_hash(stored, password) or auth._is_disabled_legacy_admin_login(user, password):
        return None
    with _lock:
        if len(_right) >= REMEMBERED:
            _right.clear()
        _right[key] = stored
    return number


def account(user: str) -> int | None:
    """Return the number of the account that has this name now."""
    return _stored(user)[0]


def welcome(user: str) -> int | None:
    """Return the account of somebody who comes by single sign-on; made at first sight, with a password nobody knows."""
    if (number := account(user)) is not None:
        return number
    setattr(g, NEWCOMER, user)
    try:
        auth.store.create_user(user, secrets.token_urlsafe(32))
    except MlflowException as fault:
        if fault.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):  # another worker was first
            raise
    return account(user)


def _stored(user: str) -> tuple[int | None, str]:
    for number, stored in glance(auth.store.engine, STORED, {"user": user}):
        return int(number), str(stored)
    return None, ""
