"""The HTTP server on a real socket: whatever comes in whatever pieces, it answers in order or ends the connection."""

import asyncio
import contextlib
import itertools
import re
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.agent.http import Request, Response
from deploy.agent.server import HttpServer, Patience

LIMIT = 1000


@dataclass
class Echo:
    """Answers with method, path, query and body; holds what is posted to /wait until it may go."""

    may_go: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Request] = field(default_factory=list)
    full: bool = False
    fills: bool = False

    def body_limit(self, method: str, path: str) -> int:
        return LIMIT

    def turned_away(self, method: str, path: str) -> Response | None:
        full, self.full = self.full, self.full or self.fills
        return Response(429, b"full", headers=((b"retry-after", b"3"),)) if full else None

    def too_large(self, limit: int) -> Response:
        return Response(413, f"more than {limit}".encode())

    def malformed(self, reason: str) -> Response:
        return Response(400, reason.encode())

    async def handle(self, request: Request) -> Response:
        self.seen.append(request)
        if request.path == "/wait":
            await self.may_go.wait()
        said = f"{request.method} {request.path} ".encode() + request.query + b" " + request.body
        return Response(200, said, b"text/plain", ((b"x-more", b"1"),))


@asynccontextmanager
async def serving(app: Echo, patience: Patience | None = None) -> AsyncIterator[tuple[HttpServer, int]]:
    server = HttpServer(app, [(b"x-always", b"yes")], patience)
    await server.start("127.0.0.1", 0)
    yield server, server.port
    await server.stop(1.0)


async def talk(port: int, *pieces: bytes, end: bool = False, answers: int = 1) -> bytes:
    """Send pieces, each after the one before has left; return what comes until the server ends, or so many answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write_eof()
        while more := await asyncio.wait_for(reader.read(65536), 10):
            received += more
            if not end and len(statuses(received)) >= answers:
                break
    except ConnectionError:
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return received


def post(body: bytes, path: str = "/x", *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body


def statuses(received: bytes) -> list[int]:
    # With the header that every answer carries, since a body that is echoed may look like the beginning of one.
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Za-z ]+\r\nx-always: yes", received)]


async def test_a_request_is_answered_with_what_every_answer_carries() -> None:
    async with serving(Echo()) as (_, port):
        received = await talk(port, post(b"body", "/a%20b?c=d"))
    head, _, body = received.partition(b"\r\n\r\n")
    assert body == b"POST /a b c=d body"
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 200 OK"
    assert {b"x-always: yes", b"x-more: 1", b"content-type: text/plain", b"content-length: 18"} <= set(
        head.split(b"\r\n")
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bodies=st.lists(st.binary(max_size=200), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 400), max_size=6),
    chunked=st.booleans(),
)
def test_pipelined_requests_in_any_pieces_are_answered_in_order(
    bodies: list[bytes], cuts: list[int], chunked: bool
) -> None:
    def request(number: int, body: bytes) -> bytes:
        if not chunked:
            return post(body, f"/{number}")
        head = f"POST /{number} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b""
        return head + chunk + b"0\r\n\r\n"

    async def scenario() -> list[tuple[str, bytes]]:
        app = Echo()
        stream = b"".join(request(number, body) for number, body in enumerate(bodies))
        async with serving(app) as (_, port):
            places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
            pieces = [stream[start:stop] for start, stop in itertools.pairwise(places)]
            received = await talk(port, *pieces, answers=len(bodies))
        assert statuses(received) == [200] * len(bodies)
        return [(request.path, request.body) for request in app.seen]

    assert asyncio.run(scenario()) == [(f"/{number}", body) for number, body in enumerate(bodies)]


@settings(max_examples=150, deadline=None)
@given(noise=st.binary(min_size=1, max_size=300), keep=st.integers(0, 60))
def test_noise_gets_an_answer_or_the_end_and_never_an_exception(noise: bytes, keep: int) -> None:
    async def scenario() -> bytes:
        problems: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with serving(Echo()) as (server, port):
            received = await talk(port, post(b"x")[:keep] + noise, end=True)
            assert statuses(await talk(port, post(b"fine"))) == [200], "the next client is served"
        assert problems == []
        assert server.open == 0
        return received

    assert set(statuses(asyncio.run(scenario()))) <= {200, 400, 413}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(b"x" * (LIMIT + 1)), 413),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000, 413),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 40_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"GET /%ff HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_what_cannot_be_taken_is_refused_and_the_connection_ended(sent: bytes, status: int) -> None:
    app = Echo()
    async with serving(app) as (server, port):
        received = await talk(port, sent)
        assert statuses(received) == [status]
        assert b"connection: close" in received
        assert app.seen == []
    assert server.open == 0


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"GET /"], ids=["a header", "the target"])
async def test_a_head_that_never_ends_ends_its_connection_before_it_costs_much(begun: bytes) -> None:
    async with serving(Echo()) as (server, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"fine") + begun)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 64 << 20 and not writer.is_closing():
                writer.write(b"y" * 65536)
                await writer.drain()
                sent += 65536
        writer.close()
        assert sent < 16 << 20  # what the kernel takes, and no more
        assert statuses(await talk(port, post(b"fine"))) == [200]
    assert server.open == 0


async def test_a_large_body_in_pieces_is_no_long_head() -> None:
    app = Echo()
    app.body_limit = lambda method, path: 1 << 20  # type: ignore[method-assign]
    whole = post(b"z" * 200_000)
    async with serving(app) as (_, port):
        received = await talk(port, *[whole[start : start + 8192] for start in range(0, len(whole), 8192)])
    assert statuses(received) == [200]


async def test_a_tunnel_is_refused_an_answer_and_the_connection_ended() -> None:
    async with serving(Echo()) as (server, port):
        received = await talk(port, b"CONNECT example.org:443 HTTP/1.1\r\nhost: a\r\n\r\n", answers=9)
        assert len(statuses(received)) == 1
        assert b"connection: close" in received
    assert server.open == 0


async def test_a_trailer_passes_for_no_header() -> None:
    app = Echo()
    head = b"POST / HTTP/1.1\r\nhost: a\r\nx-arm: mine\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving(app) as (_, port):
        received = await talk(port, head + b"1\r\nx\r\n0\r\nx-arm: trailer\r\n\r\n")
    assert statuses(received) == [200]
    assert app.seen[0].headers[b"x-arm"] == b"mine"


async def test_an_upgrade_is_passed_over() -> None:
    async with serving(Echo()) as (_, port):
        received = await talk(port, post(b"x", "/x", "connection: upgrade, http2-settings", "upgrade: h2c"), answers=9)
    assert statuses(received) == [200]
    assert b"connection: close" in received


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with serving(Echo()) as (_, port):
        head, body = post(b"later", "/x", "expect: 100-continue").split(b"\r\n\r\n")
        received = await talk(port, head + b"\r\n\r\n", body)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


async def test_a_full_queue_refuses_at_the_head_and_keeps_the_connection() -> None:
    app = Echo(full=True)
    async with serving(app) as (_, port):
        received = await talk(port, post(b"a"), post(b"b"), answers=2)
    assert statuses(received) == [429, 429]
    assert b"retry-after: 3" in received
    assert app.seen == []


async def test_a_refusal_behind_an_answer_that_is_being_made_is_still_a_refusal() -> None:
    app = Echo(fills=True)  # between the two heads, which come in one piece
    async with serving(app) as (_, port):
        received = await talk(port, post(b"first", "/1") + post(b"second", "/2"), answers=2)
    assert statuses(received) == [200, 429]
    assert [request.path for request in app.seen] == ["/1"]


async def test_a_head_request_gets_no_body() -> None:
    async with serving(Echo()) as (_, port):
        received = await talk(port, b"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n")
    assert received.endswith(b"\r\n\r\n")
    assert statuses(received) == [200]


async def test_draining_answers_what_is_in_flight_and_ends_what_is_idle() -> None:
    app = Echo()
    server = HttpServer(app, [(b"x-always", b"yes")])
    await server.start("127.0.0.1", 0)
    idle_reader, idle = await asyncio.open_connection("127.0.0.1", server.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(post(b"x", "/wait"))
    while not app.seen:
        await asyncio.sleep(0.01)
    stopping = asyncio.create_task(server.stop(10))
    assert await asyncio.wait_for(idle_reader.read(), 5) == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
    app.may_go.set()
    received = await asyncio.wait_for(reader.read(), 5)
    assert statuses(received) == [200]
    assert b"connection: close" in received
    await asyncio.wait_for(stopping, 5)
    idle.close()
    writer.close()


async def test_who_goes_away_while_the_answer_is_made_leaves_nothing_behind() -> None:
    app = Echo()
    async with serving(app) as (server, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"x", "/wait"))
        while not app.seen:
            await asyncio.sleep(0.01)
        writer.transport.abort()
        while server.open:
            await asyncio.sleep(0.01)


async def test_slow_senders_are_given_up() -> None:
    async with serving(Echo(), Patience(reading=0.1)) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"never whole")[:-3])
        received = await asyncio.wait_for(reader.read(), 10)
        assert statuses(received) == [400]
        assert b"too long" in received
        writer.close()
    assert server.open == 0


async def test_a_slow_sender_is_given_up_behind_an_answer_as_well() -> None:
    async with serving(Echo(), Patience(reading=0.1)) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"whole") + post(b"never whole")[:-3])
        received = await asyncio.wait_for(reader.read(), 10)
        assert statuses(received) == [200, 400]
        writer.close()


async def test_a_client_that_does_not_read_costs_a_bounded_buffer() -> None:
    loop = asyncio.get_running_loop()
    async with serving(Echo()) as (server, port):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            stream, sent = post(b"x" * 900) * 50, 0
            with contextlib.suppress(TimeoutError):
                while sent < 100 << 20:
                    await asyncio.wait_for(loop.sock_sendall(client, stream), 0.3)
                    sent += len(stream)
            (connection,) = server.connections
            assert sent < 100 << 20, "it reads no more"
            assert connection.buffered < 1 << 20


async def test_thousands_of_open_connections_are_held_and_those_beyond_closed() -> None:
    loop = asyncio.get_running_loop()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(10_000, (hard - 200) // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * wanted + 200), hard))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        server, port = await stack.enter_async_context(serving(Echo(), Patience(connections=wanted)))
        clients = [stack.enter_context(socket.socket()) for _ in range(wanted)]
        for client in clients:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
        while server.open < wanted:
            await asyncio.sleep(0.01)
        assert await talk(port, post(b"one too many")) == b""
        clients.pop().close()
        while server.open == wanted:
            await asyncio.sleep(0.01)
        assert statuses(await talk(port, post(b"now there is room"))) == [200]
