"""Service tokens: `fwt_<id>_<secret>`, of which the audit trail holds the id, the scopes, and the secret's SHA-256.

The events `token.issued` and `token.revoked` are all there is: a token's subject is `token:<id>`, so one read of the
trail's index by subject (0.3 ms) says everything, and a revocation holds from its commit on, in every worker. Nothing
is cached, and nothing is written when a token is used. A token may do what its user may, within its scopes.
"""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from flywheel import events
from flywheel.errors import FlywheelError
from flywheel.events import Event, EventKind
from flywheel.service_tokens import FORM, PREFIX, secret_digest
from registry.doors.census import Area

DAYS, MOST_DAYS = 90, 365
# Not `own`: a token makes no others, and sets no password.
SCOPES = (Area.READ, Area.TRACKING, Area.REGISTRY, Area.REVIEW, Area.ADMIN, Area.PREDICT)
KINDS = (EventKind.TOKEN_ISSUED, EventKind.TOKEN_REVOKED)


class TokenError(FlywheelError):
    """A token that does not let anybody in; says why."""


@dataclass(frozen=True)
class Token:
    """One token. `digest` is the SHA-256 of its secret; times are UTC."""

    id: str
    name: str
    user: str
    scopes: tuple[Area, ...]
    digest: str
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    def state(self, now: datetime) -> str:
        """Return `revoked`, `expired` or `valid`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if now >= self.expires_at else "valid"

    def shown(self, now: datetime) -> dict[str, object]:
        """Return what people may see of it: all but the digest."""
        return {
            "id": self.id,
            "name": self.name,
            "user": self.user,
            "scopes": list(self.scopes),
            "issued_by": self.issued_by,
            "issued_at": self.issued_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "state": self.state(now),
        }


def issue(
    connection: sa.Connection, actor: str, *, user: str, name: str, scopes: Iterable[Area], days: int, now: datetime
) -> tuple[Token, str]:
    """Record a new token in the caller's transaction; return it, and the text that is never to be seen again."""
    number, secret = secrets.token_hex(6), secrets.token_hex(32)
    body = {
        "name": name,
        "user": user,
        "scopes": sorted(set(scopes)),
        "digest": secret_digest(secret),
        "expires_at": (now + timedelta(days=days)).isoformat(),
    }
    event = events.append(connection, EventKind.TOKEN_ISSUED, _subject(number), actor, body, now)
    return _issued(event), f"{PREFIX}{number}_{secret}"


def revoke(connection: sa.Connection, actor: str, token: Token, now: datetime) -> Token:
    """Record in the caller's transaction that a token is void; nothing happens when it already is."""
    if token.revoked_at is not None:
        return token
    events.append(connection, EventKind.TOKEN_REVOKED, _subject(token.id), actor, {"user": token.user}, now)
    return replace(token, revoked_at=now, revoked_by=actor)


def find(connection: sa.Connection, number: str) -> Token | None:
    """Return a token by its id."""
    found = fold(events.read(connection, subject=_subject(number)))
    return found[0] if found else None


def all_tokens(connection: sa.Connection) -> list[Token]:
    """Return all tokens there ever were, oldest first."""
    both = [event for kind in KINDS for event in events.read(connection, kind)]
    return fold(sorted(both, key=lambda event: event.seq))


def fold(trail: Iterable[Event]) -> list[Token]:
    """Return the tokens that a trail tells of, in the order of their issue; other events are passed over."""
    found: dict[str, Token] = {}
    for event in trail:
        if event.kind == EventKind.TOKEN_ISSUED:
            found[event.subject] = _issued(event)
        elif event.kind == EventKind.TOKEN_REVOKED and event.subject in found:
            token = found[event.subject]
            if token.revoked_at is None:
                found[event.subject] = replace(token, revoked_at=event.at, revoked_by=event.actor)
    return list(found.values())


def admit(connection: sa.Connection, text: str, now: datetime) -> Token:
    """Return the token that a text is.

    Raises:
        TokenError: It is malformed, not known, revoked or expired. Only who has the secret learns which of the last.
    """
    match = FORM.fullmatch(text)
    if match is None:
        raise TokenError("This service token is malformed: one reads fwt_<12 digits>_<64 digits>. Copy all of it.")
    token = find(connection, match["id"])
    if not hmac.compare_digest(secret_digest(match["secret"]), token.digest if token else ""):
        raise TokenError("This service token is not known here. Issue another.")
    assert token is not None  # noqa: S101  # the digest of nothing is ''
    state = token.state(now)
    if state != "valid":
        raise TokenError(f"Service token '{token.name}' ({token.id}) is {state}. Issue another.")
    return token


def _issued(event: Event) -> Token:
    body = event.body
    return Token(
        id=event.subject.partition(":")[2],
        name=str(body["name"]),
        user=str(body["user"]),
        scopes=tuple(Area(scope) for scope in body["scopes"]),
        digest=str(body["digest"]),
        issued_by=event.actor,
        issued_at=event.at,
        expires_at=datetime.fromisoformat(body["expires_at"]),
    )


def _subject(number: str) -> str:
    # A model's name holds no colon, so that no event of a model is ever taken for a token's.
    return f"token:{number}"
