"""Service tokens as the gateway needs them: read from the audit trail, kept in a file, judged in memory.

The events are the contract: `token.issued` holds a secret's SHA-256, scopes and expiry; `token.revoked` ends a token. A
token lets its bearer in when `predict` is among its scopes. No secret is ever kept, written or logged.
"""

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flywheel.connections import write_private
from flywheel.events import EVENTS, Event, EventKind, from_row
from flywheel.service_tokens import FORM, secret_digest

SCOPE = "predict"
KINDS = (EventKind.TOKEN_ISSUED, EventKind.TOKEN_REVOKED)


@dataclass(frozen=True)
class Held:
    """One token; `client` is what limits and agents know its bearer by."""

    client: str
    digest: str
    expires_at: str
    predicts: bool = True


@dataclass(frozen=True)
class Book:
    """All tokens that are not revoked, as of event `seq`; read last at `read_at` (UTC, ISO 8601)."""

    seq: int = 0
    read_at: str = datetime.min.replace(tzinfo=UTC).isoformat()
    tokens: dict[str, Held] = field(default_factory=dict)

    def fold(self, trail: Iterable[Event], now: datetime) -> "Book":
        """Return the book with later events in it."""
        tokens, seq = dict(self.tokens), self.seq
        for event in trail:
            number, seq = event.subject.partition(":")[2], event.seq
            if event.kind == EventKind.TOKEN_REVOKED:
                tokens.pop(number, None)
            else:
                tokens[number] = _held(event.body)
        return Book(seq, now.isoformat(), tokens)

    def bearer(self, text: str, now: datetime) -> Held | None:
        """Return which token a text is, None when it is none that is known and valid."""
        match = FORM.fullmatch(text)
        if match is None:
            return None
        held = self.tokens.get(match["id"])
        digest = secret_digest(match["secret"])
        known = hmac.compare_digest(digest, held.digest if held else "")
        return held if held and known and now < datetime.fromisoformat(held.expires_at) else None

    def age(self, now: datetime) -> timedelta:
        """Return how long ago the trail was read."""
        return now - datetime.fromisoformat(self.read_at)


def read_trail(connection: sa.Connection, book: Book, now: datetime) -> Book:
    """Return the book as of now; a trail that is shorter than the book is another one, and is read from its start."""
    head = int(connection.scalar(sa.text("SELECT seq FROM flywheel.chain_head")) or 0)
    base = book if head >= book.seq else Book()
    query = sa.select(EVENTS).where(EVENTS.c.kind.in_(KINDS), EVENTS.c.seq > base.seq).order_by(EVENTS.c.seq)
    return base.fold([from_row(row) for row in connection.execute(query).mappings()], now)


def load(path: Path) -> Book:
    """Read the copy; without a usable one nobody is known until the trail is read."""
    try:
        document = json.loads(path.read_text())
        tokens = {number: Held(**one) for number, one in document["tokens"].items()}
        return Book(int(document["seq"]), datetime.fromisoformat(document["read_at"]).isoformat(), tokens)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Book()


def save(path: Path, book: Book) -> None:
    """Replace the copy, which only its owner may read."""
    write_private(path, json.dumps(asdict(book), indent=1))


def _held(body: Mapping[str, Any]) -> Held:
    client = _plain(f"{body['user']}/{body['name']}")
    return Held(client, str(body["digest"]), str(body["expires_at"]), SCOPE in body["scopes"])


def _plain(client: str) -> str:
    """Write a name as a header may hold it."""
    return client.encode("ascii", "backslashreplace").decode()
