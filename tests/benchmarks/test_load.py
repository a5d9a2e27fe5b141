"""The benchmarks' client: what it counts as an answer, and that an open loop hides no waiting."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

import pytest

from benchmarks.load import HEAD_END, Target, closed_loop, http_request, open_loop, whole_body

RIGHT = b'{"predictions":[{"probability":0.5}]}'
Answers = Callable[[int], bytes]


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Scripted(asyncio.Protocol):
    """Answers the n-th request of a connection as it is told to, `pause` seconds after it came."""

    def __init__(self, answers: Answers, pause: float, open_: set[asyncio.Transport]) -> None:
        self._answers, self._pause, self._open = answers, pause, open_
        self._count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)

    def data_received(self, data: bytes) -> None:
        if HEAD_END in data:
            asyncio.get_running_loop().call_later(self._pause, self._transport.write, self._answers(self._count))
            self._count += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)


@contextmanager
def serving(answers: Answers, pause: float = 0.0) -> Iterator[Target]:
    """Serve in a thread of its own until the block ends; no connection is left."""
    ready: Future[int] = Future()
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(answers, pause, ready, stop)))
    thread.start()
    try:
        yield Target(ready.result(10), [http_request("/invocations", b"{}")], b'"probability"')
    finally:
        stop.set()
        thread.join()


async def _serve(answers: Answers, pause: float, ready: Future[int], stop: threading.Event) -> None:
    open_: set[asyncio.Transport] = set()
    make = partial(Scripted, answers, pause, open_)
    async with await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0) as server:
        ready.set_result(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(stop.wait)
        while open_:
            for transport in list(open_):
                transport.abort()
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-le", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", b"abcd"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", None),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
    ],
)
def test_an_answer_is_whole_by_its_length_or_its_last_chunk(data: bytes, body: bytes | None) -> None:
    assert whole_body(data) == body


def test_answers_without_a_prediction_do_not_count() -> None:
    with serving(lambda count: answer(RIGHT if count % 2 else b"{}")) as target:
        result = closed_loop(target, 2, 0.2, warm_up=0)
    assert result.statuses["wrong"] >= result.statuses["200"] > 0
    assert result.rate() * result.seconds <= result.statuses["200"]


def test_refusals_are_no_goodput() -> None:
    with serving(lambda count: answer(b"{}", "429 Too Many Requests")) as target:
        result = closed_loop(target, 1, 0.2, warm_up=0)
    assert result.statuses["429"] > 0
    assert result.rate() == 0


def test_an_open_loop_does_not_wait_for_answers() -> None:
    with serving(lambda count: answer(RIGHT), pause=0.2) as target:
        result = open_loop(target, rate=100, seconds=0.5, connections=100)
    assert result.statuses["200"] > 20
    assert result.statuses["no connection"] == 0
    assert min(result.latencies) >= 0.19


def test_what_finds_no_connection_in_an_open_loop_is_lost_and_counted() -> None:
    with serving(lambda count: answer(RIGHT), pause=0.1) as target:
        result = open_loop(target, rate=200, seconds=0.5, connections=2)
    assert 2 <= result.statuses["200"] <= 14
    assert result.statuses["no connection"] > 40
    assert result.sent == result.statuses["200"]
