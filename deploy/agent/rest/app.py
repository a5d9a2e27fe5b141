"""HTTP over ASGI: turns requests into calls of the data plane, and answers or refusals into responses.

Raw ASGI on purpose: a framework's routing and response objects cost as much as everything else here does.
"""

import uuid
from collections.abc import Awaitable, Callable

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from deploy.agent.dataplane import Answer, Caller, DataPlane
from deploy.agent.health import Health
from deploy.agent.limits import Limits
from deploy.agent.refusal import RefusalError
from deploy.agent.rest.forms import parse_rows

Headers = list[tuple[bytes, bytes]]
# A response: status, extra headers, body.
Response = tuple[int, Headers, bytes]

HEADER_LENGTH = 256
# More ids than this would not fit into the header size that clients accept; `x-request-id` and the row tell them apart.
LISTED_IDS = 100
MAX_ATTEMPT = 32_767

log = structlog.get_logger()


class Handlers:
    """The ASGI application of one agent."""

    def __init__(self, dataplane: DataPlane, health: Health, limits: Limits) -> None:
        self._dataplane = dataplane
        self._health = health
        self._limits = limits
        identity = dataplane.identity
        self._always: Headers = [
            (b"content-type", b"application/json"),
            (b"x-flywheel-version", identity.version.encode()),
        ]
        self._routes: dict[str, tuple[str, Callable[[Scope, Receive], Awaitable[Response]]]] = {
            "/invocations": ("POST", self._invocations),
            "/ping": ("GET", self._ping),
            "/version": ("GET", self._version),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            status, headers, body = await self._respond(scope, receive)
        except RefusalError as refusal:
            status, headers, body = _refuse(refusal)
        except Exception:  # the process's edge: the log gets the trace, the client a sentence
            log.exception("unexpected fault", path=scope["path"])
            status, headers, body = _refuse(RefusalError("scorer", "The agent failed unexpectedly. Try again."))
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*self._always, length, *headers]})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        route = self._routes.get(scope["path"])
        if route is None:
            raise RefusalError("path", f"There is nothing here. Use one of: {', '.join(self._routes)}.")
        method, handler = route
        if scope["method"] != method:
            raise RefusalError("method", f"{scope['path']} takes {method}.")
        return await handler(scope, receive)

    async def _ping(self, scope: Scope, receive: Receive) -> Response:
        ready = self._health.ready
        return 200 if ready else 503, [], orjson.dumps({"ready": ready})

    async def _version(self, scope: Scope, receive: Receive) -> Response:
        identity = self._dataplane.identity
        named = {"use_case": identity.use_case, "version": identity.version, "digest": identity.digest}
        return 200, [], orjson.dumps(named | {"ready": self._health.ready})

    async def _invocations(self, scope: Scope, receive: Receive) -> Response:
        headers = dict(scope["headers"])
        _check_media_type(headers.get(b"content-type", b"application/json"))
        body = await self._read(headers.get(b"content-length"), receive)
        caller = read_caller(headers)
        answer = await self._dataplane.predict(parse_rows(body, self._limits.request_rows), caller)
        return 200, _answer_headers(answer, caller), _answer_body(answer)

    async def _read(self, announced: bytes | None, receive: Receive) -> bytes:
        limit = self._limits.body_bytes
        if announced is not None and int(announced) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusalError("json", "The client went away before its request was complete.")
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        return b"".join(parts)


def read_caller(headers: dict[bytes, bytes]) -> Caller:
    """Read what the gateway says; without a usable request id the request gets one of its own."""
    attempt = headers.get(b"x-envoy-attempt-count", b"1")
    return Caller(
        request_id=_text(headers, b"x-request-id") or str(uuid.uuid4()),
        attempt=min(max(int(attempt), 1), MAX_ATTEMPT) if attempt.isdigit() and len(attempt) <= 9 else 1,
        rollout=_text(headers, b"x-flywheel-rollout"),
        arm=_text(headers, b"x-flywheel-arm"),
        unit=_text(headers, b"x-flywheel-unit"),
    )


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    if not value or len(value) > HEADER_LENGTH or not value.isascii():
        return None
    text = value.decode("ascii")
    return text if text.isprintable() else None


def _check_media_type(value: bytes) -> None:
    if value.split(b";", 1)[0].strip().lower() != b"application/json":
        raise RefusalError("media type", "The body must be JSON. Send it with content-type: application/json.")


def _too_large(limit: int) -> RefusalError:
    return RefusalError("size", f"The body is larger than {limit} bytes. Send the rows in several requests.")


def _answer_headers(answer: Answer, caller: Caller) -> Headers:
    headers = [(b"x-request-id", caller.request_id.encode())]
    if len(answer.prediction_ids) <= LISTED_IDS:
        headers.append((b"x-flywheel-prediction-id", ",".join(answer.prediction_ids).encode()))
    return headers


def _answer_body(answer: Answer) -> bytes:
    return orjson.dumps({"predictions": answer.predictions})


def _refuse(refusal: RefusalError) -> Response:
    headers: Headers = []
    if refusal.status == 429:
        headers.append((b"retry-after", b"1"))
    if refusal.status == 413:
        # The rest of the body is not read, so the connection cannot be used again.
        headers.append((b"connection", b"close"))
    return refusal.status, headers, refusal.body()
