"""One path of the agent: what it takes, what answers it, and in which form it refuses."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from deploy.agent.http import Request, Response
from deploy.agent.refusal import RefusalError

Handler = Callable[[Request], Awaitable[Response]]


def refused(refusal: RefusalError) -> Response:
    """Return the answer of MLflow's and our own paths to a refused request."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if refusal.status == 429:
        headers = ((b"retry-after", str(refusal.retry_after).encode()),)
    return Response(refusal.status, refusal.body(), headers=headers)


@dataclass(frozen=True, slots=True)
class Route:
    """A path's method and handler.

    Attributes:
        method: The one method that it takes.
        handler: Answers; raises RefusalError where it cannot.
        protocol: Under which name its requests are counted; None: not at all, since probes are no traffic.
        refuse: Turns a refusal into an answer of the path's protocol.
    """

    method: str
    handler: Handler
    protocol: str | None = None
    refuse: Callable[[RefusalError], Response] = refused


Routes = dict[str, Route]


def check_media_type(headers: Mapping[bytes, bytes], *allowed: bytes) -> bytes:
    """Return the media type of a body, the first one allowed where the client names none.

    Raises:
        RefusalError: It is none of those allowed, its text is in another encoding than UTF-8, or it is compressed.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RefusalError("media type", "The body is compressed. Send it as it is, without content-encoding.")
    given = headers.get(b"content-type")
    if given is None:
        return allowed[0]
    if given in allowed:
        return given
    kind, *parameters = [part.strip().lower() for part in given.split(b";")]
    charsets = [part[len(b"charset=") :].strip(b'"') for part in parameters if part.startswith(b"charset=")]
    if kind not in allowed or any(charset not in (b"utf-8", b"utf8", b"us-ascii") for charset in charsets):
        wanted = " or ".join(media_type.decode() for media_type in allowed)
        raise RefusalError("media type", f"The body must be {wanted} in UTF-8. Name it in content-type.")
    return kind
