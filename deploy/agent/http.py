"""An HTTP request and its response as the agent's routes see them: whole, whatever server read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # OpenTelemetry is not loaded in an agent without a collector
    from deploy.agent.telemetry.tracing import Trace

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read to its end. Names of headers are in small letters; of a repeated one the last counts."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    body: bytes = b""
    query: bytes = b""
    trace: "Trace | None" = None


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. Content length, and what every answer of the agent carries, come from the server."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Application(Protocol):
    """What a server hands requests to. It never raises."""

    def body_limit(self, method: str, path: str) -> int:
        """Return how many bytes the body of a request may have; the server refuses more before it reads them."""
        ...

    def turned_away(self, method: str, path: str) -> Response | None:
        """Return the answer to a request that cannot be taken now, by its first line alone; None to go on."""
        ...

    def too_large(self, limit: int) -> Response:
        """Return the answer to a body of more than `limit` bytes."""
        ...

    def malformed(self, reason: str) -> Response:
        """Return the answer to what is no HTTP request; `reason` is a sentence."""
        ...

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        ...
