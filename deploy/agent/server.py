"""The HTTP server's side of the agent: an ASGI application around an `Application`.

Raw ASGI on purpose: a framework's routing and response objects cost as much as everything else here does.
"""

from starlette.types import Receive, Scope, Send

from deploy.agent.http import Application, Headers, Request, Response
from deploy.agent.refusal import RefusalError, refused


class Asgi:
    """Reads requests whole, within their limits, and sends answers.

    Args:
        application: Answers.
        always: Headers of every answer.
    """

    def __init__(self, application: Application, always: Headers) -> None:
        self._application = application
        self._always = always

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        headers = dict(scope["headers"])
        try:
            body = await _read(headers.get(b"content-length"), receive, self._application.body_limit(method, path))
        except RefusalError as refusal:
            response = refused(refusal)
        else:
            response = await self._application.handle(Request(method, path, headers, body, scope["query_string"]))
        await self._send(response, send)

    async def _send(self, response: Response, send: Send) -> None:
        headers = [
            *self._always,
            (b"content-type", response.content_type),
            (b"content-length", str(len(response.body)).encode()),
            *response.headers,
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})


async def _read(announced: bytes | None, receive: Receive, limit: int) -> bytes:
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


def _too_large(limit: int) -> RefusalError:
    return RefusalError("size", f"The body is larger than {limit} bytes. Send the rows in several requests.")
