"""Single sign-on through a reverse proxy that names the user in a header. Off unless FLYWHEEL_SSO_HEADER is set.

The header is believed from a peer in FLYWHEEL_SSO_PROXIES that also sends the secret of FLYWHEEL_SSO_SECRET_FILE in
`X-Flywheel-Sso-Secret`. From anybody else a request that carries it is refused: it is a forgery or a proxy that is set
up wrong. The peer is the other end of the connection; X-Forwarded-For says nothing, and uvicorn, which would put it in
the peer's place, must be started with `--no-proxy-headers`.

The proxy must replace the header in what its clients send. Who it names must be in the policy.
"""

import hmac
import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.exceptions import MlflowException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flywheel.errors import UsageError
from registry.caller import floor_policy

SECRET_HEADER = "x-flywheel-sso-secret"  # noqa: S105  # a name
SHORTEST_SECRET = 32  # characters
# How the middleware tells the login, which sees only the request: no client knows the word of this process.
VERIFIED_HEADER = "x-flywheel-verified-user"
_WORD = secrets.token_hex(32)
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, of header names
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class SsoSettings:
    """The header in lower case, the networks of the proxies, and their secret."""

    header: str
    proxies: tuple[Network, ...]
    secret: str = field(repr=False)


def sso_settings(environment: Mapping[str, str]) -> SsoSettings | None:
    """Read the settings; None when single sign-on is off.

    Raises:
        UsageError: They are incomplete or wrong.
    """
    header = environment.get("FLYWHEEL_SSO_HEADER", "").strip().lower()
    if not header:
        return None
    if not TOKEN.fullmatch(header) or header in {SECRET_HEADER, VERIFIED_HEADER, "authorization", "host", "cookie"}:
        raise UsageError(f"FLYWHEEL_SSO_HEADER '{header}' cannot name a user. Choose one such as X-Forwarded-User.")
    return SsoSettings(header, _proxies(environment), _secret(environment))


def _proxies(environment: Mapping[str, str]) -> tuple[Network, ...]:
    named = environment.get("FLYWHEEL_SSO_PROXIES", "").replace(",", " ").split()
    if not named:
        raise UsageError("FLYWHEEL_SSO_PROXIES is empty. Name the networks of the proxies, such as 10.0.0.5/32.")
    try:
        found = tuple(ipaddress.ip_network(name) for name in named)
    except ValueError as fault:
        raise UsageError(f"FLYWHEEL_SSO_PROXIES is wrong: {fault}. Write networks such as 10.0.0.5/32.") from fault
    if any(network.prefixlen == 0 for network in found):
        raise UsageError("FLYWHEEL_SSO_PROXIES holds the whole internet. Name the networks of the proxies.")
    return found


def _secret(environment: Mapping[str, str]) -> str:
    path = environment.get("FLYWHEEL_SSO_SECRET_FILE", "")
    if not path:
        raise UsageError("FLYWHEEL_SSO_SECRET_FILE is missing. Name a file with the secret that the proxy sends.")
    try:
        secret = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageError(f"FLYWHEEL_SSO_SECRET_FILE {path} cannot be read: {fault}. Correct it.") from fault
    if len(secret) < SHORTEST_SECRET or not secret.isascii():
        raise UsageError(
            f"FLYWHEEL_SSO_SECRET_FILE {path} holds no secret of at least {SHORTEST_SECRET} ASCII characters. "
            "Make one with `openssl rand -hex 32`."
        )
    return secret


class SsoDoor:
    """ASGI middleware: believes, refuses, or passes on without any of the headers. It stands before the login."""

    def __init__(self, app: ASGIApp, settings: SsoSettings | None) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 to a header that is not to be believed; tell the login of one that is."""
        if scope["type"] in {"http", "websocket"}:
            refused = self._judge(scope)
            if refused is not None:
                answer = JSONResponse({"error_code": "UNAUTHENTICATED", "message": refused}, 401)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _judge(self, scope: Scope) -> str | None:
        headers, settings = MutableHeaders(scope=scope), self.settings
        del headers[VERIFIED_HEADER]
        if settings is None:
            return None
        named = headers.getlist(settings.header)
        if not named:
            return None
        fault = _unbelievable(scope, headers, settings) or _unusable(named)
        if fault is not None:
            return f"Single sign-on refused: {fault}"
        del headers[settings.header], headers[SECRET_HEADER]
        headers[VERIFIED_HEADER] = f"{_WORD} {named[0].strip()}"
        return None


def _unbelievable(scope: Scope, headers: Headers, settings: SsoSettings) -> str | None:
    host, port = scope.get("client") or ("", 0)
    if not port and "x-forwarded-for" in headers:  # uvicorn's sign that it put the header in the peer's place
        return "the server does not see its peer. Start it with --uvicorn-opts '--no-proxy-headers'."
    try:
        peer = ipaddress.ip_address(host)
    except ValueError:
        return "the peer has no address."
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    if not any(peer in network for network in settings.proxies):
        return f"header {settings.header} came from {peer}, which is no proxy of FLYWHEEL_SSO_PROXIES. Leave it out."
    sent = headers.getlist(SECRET_HEADER)
    if len(sent) != 1 or not hmac.compare_digest(sent[0].encode(), settings.secret.encode()):
        return f"header {settings.header} came without the proxy's secret in {SECRET_HEADER}. Set it up in the proxy."
    return None


def _unusable(named: list[str]) -> str | None:
    if len(named) != 1 or not named[0].strip():
        return "the proxy must name exactly one user. Let it replace the header instead of adding one."
    return in_policy(named[0].strip())


def in_policy(user: str) -> str | None:
    """Return why the policy does not know somebody; None when it does."""
    try:
        known = floor_policy().role(user) is not None
    except MlflowException as fault:
        return str(fault.message)
    return None if known else f"'{user}' is not in the policy. Ask an administrator to add them."


def verified_user(headers: Mapping[str, str]) -> str | None:
    """Return the user whom a proxy has vouched for in this request, as the middleware has found."""
    word, _, user = headers.get(VERIFIED_HEADER, "").partition(" ")
    return user if hmac.compare_digest(word.encode(), _WORD.encode()) else None
