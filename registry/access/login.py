"""MLflow's `authorization_function`: who sends a request, by which proof, and whether it is theirs to send.

Three proofs: a password (Basic), a service token (`Authorization: Bearer fwt_…`, or as the Basic password of its user),
and a reverse proxy's word (`registry.access.sso`). MLflow calls it for Flask's routes and for its native ones, several
times a request. What it refuses never meets MLflow's permissions or the gate.

Set it in MLflow's login file: `authorization_function = registry.access.login:authenticate`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Flask, Response, g, jsonify, make_response, request
from mlflow.gateway.constants import MLFLOW_GATEWAY_AUTH_HEADER
from mlflow.server import auth, handlers
from werkzeug.datastructures import Authorization

from flywheel.errors import FlywheelError
from flywheel.service_tokens import PREFIX
from registry.access import passwords, sso
from registry.access.roles import RoleBook
from registry.access.tokens import TokenError, admit
from registry.doors.census import SAFE_METHODS, Area, area_of

BOOK = RoleBook()
LOGIN = "flywheel_login"  # in flask.g


@dataclass(frozen=True)
class Login:
    """Who sends a request.

    Args:
        user: Their name.
        account: Its number in MLflow, since a name may be deleted and made again.
        scopes: Of a token; None for a person or service that came in by itself.
    """

    user: str
    account: int
    scopes: frozenset[Area] | None = None


class RejectedError(FlywheelError):
    """The proof does not hold (401)."""


class NotYoursError(FlywheelError):
    """The login is good, and the request is not for it (403)."""


def authenticate() -> Authorization | Response:
    """Return the login of Flask's current request, or the answer that refuses it."""
    known: Login | None = g.get(LOGIN)
    if known is None:
        try:
            known = _login()
            if known is None:
                answer: Response = auth.make_basic_auth_response()  # with it a browser asks for a password
                return answer
            _check(known, request.method, area_of(request.method, request.path))
        except (RejectedError, TokenError) as fault:
            return _refusal(401, "UNAUTHENTICATED", str(fault))
        except NotYoursError as fault:
            return _refusal(403, "PERMISSION_DENIED", str(fault))
        setattr(g, LOGIN, known)
    return Authorization("basic", {"username": known.user, "password": ""})


def current() -> Login:
    """Return the login of this request, which `authenticate` has let in."""
    login: Login = g.get(LOGIN)
    return login


def is_administrator() -> bool:
    """Return whether the policy makes who sends this request an administrator: stands in for MLflow's own question.

    MLflow reads the flag that the policy gives from its table, a twentieth of the time that logging a metric takes.
    """
    if not isinstance(authenticate(), Authorization):
        return False
    login = current()
    return BOOK.part(login.user, login.account).is_admin


def tell_basic_logins(app: Flask) -> None:
    """Let MLflow's pages offer logout and change of password, which they hide for any function but MLflow's own."""

    def tell(response: Response) -> Response:
        if request.path.endswith("/mlflow/users/current") and response.status_code == 200:
            document = response.get_json() | {"is_basic_auth": _came_by_password()}
            response.set_data(jsonify(document).get_data())
        return response

    app.after_request(tell)


def _came_by_password() -> bool:
    return sso.verified_user(request.headers) is None and current().scopes is None


def _login() -> Login | None:
    offered = _authorization()
    bearer = (offered.token or "") if offered is not None and offered.type == "bearer" else None
    user = sso.verified_user(request.headers)
    if bearer is not None and (user is None or bearer.startswith(PREFIX)):  # a proxy may send a bearer of its own
        return _by_token(bearer)
    if user is not None:
        return _as(user, passwords.welcome(user))
    if offered is None or offered.type != "basic" or not offered.username:
        return None
    user, password = str(offered.username), str(offered.password or "")
    if password.startswith(PREFIX):
        login = _by_token(password)
        if login.user != user:
            raise RejectedError(f"This service token is not '{user}''s. Give the user it was issued for.")
        return login
    return _as(user, passwords.account_by(user, password))


def _as(user: str, account: int | None) -> Login | None:
    return None if account is None else Login(user, account)


def _authorization() -> Authorization | None:
    # On the gateway's routes a provider's key may stand in the usual place; MLflow then has a header of its own.
    other = request.headers.get(MLFLOW_GATEWAY_AUTH_HEADER) if request.path.startswith("/gateway/") else None
    return Authorization.from_header(other) if other else request.authorization


def _by_token(text: str) -> Login:
    engine = handlers._get_model_registry_store().engine
    with engine.connect() as connection:
        token = admit(connection, text, datetime.now(UTC))
    account = passwords.account(token.user)
    if account is None:
        raise RejectedError(f"The account '{token.user}' of this service token is gone. Ask an administrator.")
    return Login(token.user, account, frozenset(token.scopes))


def _check(login: Login, method: str, area: Area) -> None:
    # Every other token may look; this one is handed to callers of models.
    if login.scopes == frozenset({Area.PREDICT}):
        raise NotYoursError("This service token only predicts, at the gateway. Issue one with another scope for this.")
    if area is Area.READ or (area is Area.OWN and method in SAFE_METHODS):
        return
    if login.scopes is not None:
        _check_scopes(login.scopes, area)
    if method in SAFE_METHODS:
        return  # MLflow's permissions decide
    part = BOOK.part(login.user, login.account)
    if area not in part.areas:
        raise NotYoursError(_not_theirs(login.user, part.name, area))


def _check_scopes(scopes: frozenset[Area], area: Area) -> None:
    if area is Area.OWN:
        raise NotYoursError("Passwords and tokens are not a token's to change. Log in with a password or through SSO.")
    if area not in scopes:
        has = ", ".join(sorted(scopes))
        raise NotYoursError(f"This service token has scope {has}, and this request needs '{area}'. Issue one that has.")


def _not_theirs(user: str, part: str, area: Area) -> str:
    if area is Area.ADMIN:
        return f"Change refused: it is an administrator's, and '{user}' is {part}. Ask an administrator."
    if part == "viewer":
        return f"Change refused: '{user}' is a viewer, who reads and changes nothing. Ask for a role in the policy."
    return f"Change refused: '{user}' changes nothing in area '{area}'. Use the login of whoever does."


def _refusal(status: int, code: str, message: str) -> Response:
    response = make_response(jsonify({"error_code": code, "message": message}), status)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="mlflow"'
    return response
