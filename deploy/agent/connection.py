"""One HTTP/1.1 connection: httptools parses, answers are written whole, and whoever is slow costs a bounded buffer.

Between requests that are in flight and the socket there is no framework: its routing, response objects and body
streams cost as much as everything else that the agent does for a request.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

import httptools

from deploy.agent.http import Application, Headers, Request, Response

HEAD_BYTES = 32 << 10
PIPELINED = 16  # requests that a client may send ahead of their answers
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Phase(Enum):
    """What a connection does; `since` says since when."""

    IDLE = "waits for a request"
    READING = "has sent a part of a request"
    ANSWERING = "waits for an answer"


@dataclass(slots=True)
class Head:
    """A request whose body is being read; with a refusal it is read only to be passed over."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    limit: int
    keep_alive: bool
    refusal: Response | None


class Connection(asyncio.Protocol):
    """Serves the requests of one client one after the other.

    Args:
        application: Answers.
        always: Headers of every answer, as bytes.
        clock: The loop's time.
        gone: Is called when the connection is over.
    """

    def __init__(
        self,
        application: Application,
        always: bytes,
        clock: Callable[[], float],
        gone: Callable[["Connection"], None],
    ) -> None:
        self._application, self._always, self._clock, self._gone = application, always, clock, gone
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = self._unparsed = 0
        self._head: Head | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._waiting: list[tuple[Head, bytes]] = []
        self._task: asyncio.Task[None] | None = None
        self._arriving = False  # a part of a request is here
        self._closing = False
        self._deaf = False  # the client wants to speak something else from here on
        self._unread = False  # the client does not read its answers
        self.draining = False
        self.phase, self.since = Phase.IDLE, clock()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what is not answered: nobody is there to read it."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
        self._gone(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._closing or self._deaf:
            return
        if self.phase is Phase.IDLE:
            self.phase, self.since = Phase.READING, self._clock()
        try:
            self._parser.feed_data(data)
            self._bound_head(len(data))
        except httptools.HttpParserUpgrade:
            self._deaf = True  # the request itself is answered, as HTTP/1.1, and then the connection ends
        except httptools.HttpParserError:
            if not self._closing:
                self._refuse(self._application.malformed("This is no HTTP/1.1 request."))

    def pause_writing(self) -> None:
        """Read and answer no further requests of a client that does not read its answers."""
        self._unread = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._unread = False
        self._go_on()

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._arriving = True
        self._url, self._headers, self._head_bytes, self._unparsed = b"", {}, 0, 0
        self._head, self._body, self._body_bytes = None, [], 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers, which come behind the body, would pass for one."""
        if self._head is not None:
            return
        self._headers[name.lower()] = value
        self._grow(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Decide whether the body is worth reading."""
        method = self._parser.get_method().decode("ascii")
        path, _, query = self._url.partition(b"?")
        try:
            target = unquote(path.decode("ascii"), errors="strict")
        except UnicodeDecodeError:
            self._refuse(self._application.malformed("The path is no text in UTF-8."))
            return
        limit = self._application.body_limit(method, target)
        keep = self._parser.should_keep_alive() and b"upgrade" not in self._headers and method != "CONNECT"
        refusal = self._application.turned_away(method, target)
        self._head = Head(method, target, query, self._headers, limit, keep, refusal)
        announced = self._headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > limit:
            self._refuse(self._application.too_large(limit))
            return
        if refusal is None and self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, unless the request is turned away already."""
        self._body_bytes += len(body)
        if self._head is not None and self._body_bytes > self._head.limit:
            self._refuse(self._application.too_large(self._head.limit))
        elif self._head is not None and self._head.refusal is None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer, or line up behind the request before."""
        self._arriving = False
        if self._closing or self._head is None:
            return
        if self._head.refusal is not None and self._task is None and not self._waiting:
            if self._write(self._head.refusal, self._head):
                self._rest()
            return
        self._waiting.append((self._head, b"".join(self._body)))
        if len(self._waiting) > PIPELINED:
            self._transport.pause_reading()
        if self._task is None and not self._unread:
            self._next()

    # Our own

    @property
    def buffered(self) -> int:
        """Bytes of answers that the client has not taken, and of requests that wait for their turn."""
        size: int = self._transport.get_write_buffer_size()
        return size + sum(len(body) for _, body in self._waiting)

    def close_if_idle(self) -> None:
        """End the connection now when nothing is in flight, else with the next answer."""
        self.draining = True
        if self.phase is Phase.IDLE:
            self._close()

    def give_up(self) -> None:
        """End a connection that takes too long."""
        if self.phase is Phase.READING and self._task is None:
            self._refuse(self._application.malformed("The request took too long to arrive."))
        else:
            self._closing = True
            self._transport.abort()

    def _go_on(self) -> None:
        if self._closing or self._unread:
            return
        if self._waiting and self._task is None:
            self._next()
        if len(self._waiting) <= PIPELINED:
            self._transport.resume_reading()

    def _next(self) -> None:
        head, body = self._waiting.pop(0)
        self.phase, self.since = Phase.ANSWERING, self._clock()
        request = Request(head.method, head.path, head.headers, body, head.query)
        self._task = asyncio.get_running_loop().create_task(self._answer(head, request))

    async def _answer(self, head: Head, request: Request) -> None:
        response = head.refusal or await self._application.handle(request)
        self._task = None
        if self._closing:
            return
        if self._write(response, head):
            self._rest()
            self._go_on()

    def _rest(self) -> None:
        """Wait for the next request, of which a part may have come with the last one."""
        self.phase, self.since = Phase.READING if self._arriving else Phase.IDLE, self._clock()

    def _write(self, response: Response, head: Head | None) -> bool:
        """Send an answer; return whether the connection goes on."""
        keep = head is not None and head.keep_alive and not self.draining
        parts = [
            LINES[response.status],
            self._always,
            b"content-type: ",
            response.content_type,
            b"\r\ncontent-length: ",
            str(len(response.body)).encode(),
            b"\r\n",
        ]
        for name, value in response.headers:
            parts += (name, b": ", value, b"\r\n")
        if not keep:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        if head is None or head.method != "HEAD":
            parts.append(response.body)
        self._transport.write(b"".join(parts))
        if not keep:
            self._close()
        return keep

    def _refuse(self, response: Response) -> None:
        """Answer and end the connection: what follows cannot be told from the rest of this request."""
        if self._task is not None or self._waiting:
            self._closing = True  # the answers before this one are not out: there is no place for it
            self._transport.abort()
            return
        self._write(response, None)

    def _close(self) -> None:
        self._closing = True
        self._transport.close()

    def _bound_head(self, came: int) -> None:
        """Refuse a head that does not end: the parser hands over nothing of a header until it is whole."""
        if not self._arriving or self._head is not None:
            return
        if self._unparsed > HEAD_BYTES:
            self._grow(self._unparsed)
        self._unparsed += came

    def _grow(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES and not self._closing:
            self._refuse(self._application.malformed(f"The head of the request has more than {HEAD_BYTES} bytes."))


def lines_of(headers: Headers) -> bytes:
    """Return headers as they stand in an answer."""
    return b"".join(name + b": " + value + b"\r\n" for name, value in headers)
