"""The decision about one request: who asks, and may it. No I/O, but for a quota's step."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from deploy.doorman.quotas import Quotas
from deploy.doorman.tokens import Book
from flywheel.serving import GatewayServing

SCHEME = b"bearer "


@dataclass(frozen=True)
class Verdict:
    """A status, headers of the answer, and its sentence; with 200 the headers go to the agent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    sentence: str = ""

    @property
    def body(self) -> bytes:
        """The sentence as JSON; nothing when there is none."""
        return json.dumps({"error": self.sentence}).encode() if self.sentence else b""


UNKNOWN = Verdict(
    401,
    (("www-authenticate", "Bearer"),),
    "Not let in: show a valid token of scope 'predict' as 'authorization: Bearer ...'. "
    "`flywheel token issue NAME --scope predict` makes one.",
)
STALE = Verdict(
    503, (("retry-after", "60"),), "Tokens could not be checked for a day: the database does not answer. Try later."
)


class Door:
    """Judges requests by what the book says now.

    Args:
        serving: Who must show what, and the quotas.
        book: Returns the tokens as of now.
        quotas: Counts of the day.
        clock: Time, with zone.
    """

    def __init__(
        self, serving: GatewayServing, book: Callable[[], Book], quotas: Quotas, clock: Callable[[], datetime]
    ) -> None:
        self._serving, self._book, self._quotas, self._clock = serving, book, quotas, clock

    def judge(self, headers: Mapping[bytes, bytes]) -> Verdict:
        """Judge a request by its headers, whose names are in small letters."""
        client, by_token = self._named(headers), False
        if client is None:
            now, book = self._clock(), self._book()
            client, by_token = book.bearer(_bearer(headers), now), True
            if client is None or book.is_stale(now):
                return STALE if book.is_stale(now) else UNKNOWN
        limit = self._serving.of(client).requests_per_day
        if limit is not None and not self._quotas.take(client, limit):
            return self._spent(client, limit)
        # Its secret is of no use to the agent, and must not get into its logs.
        removed = (("x-envoy-auth-headers-to-remove", "authorization"),) if by_token else ()
        return Verdict(200, (("x-flywheel-client", client), *removed))

    def _named(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return whom the gateway has named already: by a JWT, or without auth by address."""
        if self._serving.auth == "none":
            return headers.get(b"x-forwarded-for", b"unknown").rpartition(b",")[2].strip().decode("latin-1")
        if self._serving.auth == "token":
            return None
        found = headers.get(b"x-flywheel-client", b"").decode("latin-1")
        return found or None

    def _spent(self, client: str, limit: int) -> Verdict:
        wait = self._quotas.seconds_left()
        sentence = f"Client '{client}' has made its {limit} requests of today (UTC). Come back in {wait} seconds."
        return Verdict(429, (("retry-after", str(wait)),), sentence)


def _bearer(headers: Mapping[bytes, bytes]) -> str:
    value = headers.get(b"authorization", b"")
    return value[len(SCHEME) :].strip().decode("latin-1") if value[: len(SCHEME)].lower() == SCHEME else ""
