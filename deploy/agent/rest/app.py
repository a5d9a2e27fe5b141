"""The agent's paths: turns requests into calls of the data plane, and answers or refusals into responses."""

import math
import uuid
from collections.abc import Awaitable, Callable, Mapping

import orjson
import structlog

from deploy.agent.batching import FULL
from deploy.agent.dataplane import Answer, Caller, DataPlane
from deploy.agent.health import Health
from deploy.agent.http import Request, Response
from deploy.agent.limits import Limits
from deploy.agent.refusal import RefusalError, refused
from deploy.agent.rest.forms import parse_rows

HEADER_LENGTH = 256
# More ids than this would not fit into the header size that clients accept; `x-request-id` and the row tell them apart.
LISTED_IDS = 100
MAX_ATTEMPT = 32_767
SMALL_BODY = 1 << 12

log = structlog.get_logger()


class Paths:
    """The application of one agent."""

    def __init__(self, dataplane: DataPlane, health: Health, limits: Limits) -> None:
        self._dataplane = dataplane
        self._health = health
        self._limits = limits
        self._full: dict[int, Response] = {}
        self._routes: dict[str, tuple[str, Callable[[Request], Awaitable[Response]]]] = {
            "/invocations": ("POST", self._invocations),
            "/ping": ("GET", self._ping),
            "/version": ("GET", self._version),
        }

    def body_limit(self, method: str, path: str) -> int:
        """Return how many bytes a body may have."""
        return self._limits.body_bytes if method == "POST" else SMALL_BODY

    def turned_away(self, method: str, path: str) -> Response | None:
        """Return the refusal while the queue is full."""
        batcher = self._dataplane.batcher
        if method != "POST" or not batcher.is_full:
            return None
        seconds = max(1, math.ceil(batcher.wait_seconds))
        if seconds not in self._full:  # made once: under overload this is most of the work
            self._full[seconds] = refused(RefusalError("busy", FULL, retry_after=seconds))
        return self._full[seconds]

    def too_large(self, limit: int) -> Response:
        """Return the answer to a body of more than `limit` bytes."""
        message = f"The body is larger than {limit} bytes. Send the rows in several requests."
        return refused(RefusalError("size", message))

    def malformed(self, reason: str) -> Response:
        """Return the answer to what is no HTTP request."""
        return refused(RefusalError("http", reason))

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return await self._respond(request)
        except RefusalError as refusal:
            return refused(refusal)
        except Exception:  # the process's edge: the log gets the trace, the client a sentence
            log.exception("unexpected fault", path=request.path)
            return refused(RefusalError("scorer", "The agent failed unexpectedly. Try again."))

    async def _respond(self, request: Request) -> Response:
        route = self._routes.get(request.path)
        if route is None:
            raise RefusalError("path", f"There is nothing here. Use one of: {', '.join(self._routes)}.")
        method, handler = route
        if request.method != method:
            raise RefusalError("method", f"{request.path} takes {method}.")
        return await handler(request)

    async def _ping(self, request: Request) -> Response:
        ready = self._health.ready
        return Response(200 if ready else 503, orjson.dumps({"ready": ready}))

    async def _version(self, request: Request) -> Response:
        identity = self._dataplane.identity
        named = {"use_case": identity.use_case, "version": identity.version, "digest": identity.digest}
        return Response(200, orjson.dumps(named | {"ready": self._health.ready}))

    async def _invocations(self, request: Request) -> Response:
        _check_media_type(request.headers.get(b"content-type", b"application/json"))
        caller = read_caller(request.headers)
        answer = await self._dataplane.predict(parse_rows(request.body, self._limits.request_rows), caller)
        return Response(200, _answer_body(answer), headers=tuple(_answer_headers(answer, caller)))


def read_caller(headers: Mapping[bytes, bytes]) -> Caller:
    """Read what the gateway says; without a usable request id the request gets one of its own."""
    attempt = headers.get(b"x-envoy-attempt-count", b"1")
    return Caller(
        request_id=_text(headers, b"x-request-id") or str(uuid.uuid4()),
        attempt=min(max(int(attempt), 1), MAX_ATTEMPT) if attempt.isdigit() and len(attempt) <= 9 else 1,
        rollout=_text(headers, b"x-flywheel-rollout"),
        arm=_text(headers, b"x-flywheel-arm"),
        unit=_text(headers, b"x-flywheel-unit"),
    )


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    if not value or len(value) > HEADER_LENGTH or not value.isascii():
        return None
    text = value.decode("ascii")
    return text if text.isprintable() else None


def _check_media_type(value: bytes) -> None:
    if value.split(b";", 1)[0].strip().lower() != b"application/json":
        raise RefusalError("media type", "The body must be JSON. Send it with content-type: application/json.")


def _answer_headers(answer: Answer, caller: Caller) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-request-id", caller.request_id.encode())]
    if len(answer.prediction_ids) <= LISTED_IDS:
        headers.append((b"x-flywheel-prediction-id", ",".join(answer.prediction_ids).encode()))
    return headers


def _answer_body(answer: Answer) -> bytes:
    return orjson.dumps({"predictions": answer.predictions})
