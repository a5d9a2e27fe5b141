"""The decision about one request: who asks, and may it. No I/O, but for a quota's step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.doorman.quotas import Quotas
from deploy.doorman.tokens import Book
from flywheel.serving import GatewayServing

SCHEME = b"bearer "


@dataclass(frozen=True)
class Verdict:
    """A status, headers of the answer, and its sentence, which the gateway puts into the form of the caller's protocol.

    With 200 the headers go to the agent.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    sentence: str = ""


UNKNOWN = Verdict(
    401,
    (("www-authenticate", "Bearer"),),
    "Not let in: show a valid token of scope 'predict' as 'authorization: Bearer ...'. "
    "`flywheel token issue NAME --user USER --scope predict` makes one.",
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
        self._trust = timedelta(seconds=serving.token_trust_seconds)

    def judge(self, headers: Mapping[bytes, bytes]) -> Verdict:
        """Judge a request by its headers, whose names are in small letters."""
        client, by_token = self._named(headers), False
        if client is None:
            now, book = self._clock(), self._book()
            if book.age(now) > self._trust:
                return _stale(self._trust)
            held, by_token = book.bearer(_bearer(headers), now), True
            if held is None:
                return UNKNOWN
            client = held.client
            if not held.predicts:
                return _misplaced(client)
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


def _misplaced(client: str) -> Verdict:
    sentence = f"Not let in: token '{client}' is not of scope 'predict'. `flywheel token issue` makes one that is."
    return Verdict(403, sentence=sentence)


def _stale(trust: timedelta) -> Verdict:
    sentence = f"Tokens could not be checked for more than {trust}: the database does not answer. Try later."
    return Verdict(503, (("retry-after", "60"),), sentence)


def _bearer(headers: Mapping[bytes, bytes]) -> str:
    value = headers.get(b"authorization", b"")
    return value[len(SCHEME) :].strip().decode("latin-1") if value[: len(SCHEME)].lower() == SCHEME else ""
