"""The client of the serving benchmarks: one process, one thread, the same for every server.

It writes ready-made requests and looks for as little as it must in the answers, so that it costs less than what it
measures: `python -m benchmarks.load_check` holds it against wrk. A closed loop asks again as soon as it is answered; an
open loop asks at random times of a given rate, whatever the server does, and counts latency from the time at which a
request was due (so a server that stalls cannot hide the requests that it kept waiting).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

HEAD_END = b"\r\n\r\n"
SAMPLE_EVERY = 61  # of the answers, kept for comparison; a prime, so that every row's turn comes
CONNECT_SECONDS = 10.0
GIVE_UP_SECONDS = 15.0  # after the end of a measurement, for what is in flight


@dataclass(frozen=True)
class Target:
    """Where and what to ask.

    Attributes:
        port: On 127.0.0.1.
        requests: Whole HTTP requests, asked in turns; `marker` occurs once in an answer for each prediction.
        rows: Predictions that each answer must hold.
    """

    port: int
    requests: Sequence[bytes]
    marker: bytes
    rows: int = 1


@dataclass
class Measured:
    """What came of one measurement: seconds, and one entry for each answer, in the order in which they came."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    sample: list[tuple[int, bytes]] = field(default_factory=list)
    sent: int = 0

    def rate(self, within: float = float("inf")) -> float:
        """Return answers 200 a second, of those that took no more than `within` seconds."""
        good = sum(code == 200 and took <= within for code, took in zip(self.codes, self.latencies, strict=True))
        return good / self.seconds if self.seconds else 0.0

    def quantile_ms(self, share: float, code: int = 200) -> float:
        """Return a quantile of the latency of answers of one status; NaN without any."""
        took = sorted(time for time, of in zip(self.latencies, self.codes, strict=True) if of == code)
        return took[min(int(len(took) * share), len(took) - 1)] * 1000 if took else float("nan")


Done = Callable[["Connection", int, float], None]


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight. `done` gets the status and the time asked at."""

    def __init__(self, target: Target, result: Measured, done: Done) -> None:
        self._target, self._result, self._done = target, result, done
        self._buffer = b""
        self._index = 0
        self._due = 0.0
        self.busy = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, index: int, due: float) -> None:
        """Send a request that was due at `due` (of time.perf_counter)."""
        self._index, self._due, self.busy = index, due, True
        assert self.transport is not None  # noqa: S101  # asked only once connected
        self.transport.write(self._target.requests[index % len(self._target.requests)])

    def data_received(self, data: bytes) -> None:
        """Finish the request when its answer is whole."""
        self._buffer = self._buffer + data if self._buffer else data
        body = whole_body(self._buffer)
        if body is None:
            return
        code = int(self._buffer[9:12])
        self._buffer = b""
        self._finish(code, body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a request that got no answer."""
        self.transport = None
        if self.busy:
            self.busy = False
            self._result.statuses["broken"] += 1
            self._done(self, 0, self._due)

    def _finish(self, code: int, body: bytes) -> None:
        self.busy = False
        result, target = self._result, self._target
        if code == 200 and body.count(target.marker) != target.rows:
            code = 0
            result.statuses["wrong"] += 1
        else:
            result.statuses[str(code)] += 1
        if code == 200 and self._index % SAMPLE_EVERY == 0:
            result.sample.append((self._index % len(target.requests), body))
        self._done(self, code, self._due)


def whole_body(data: bytes) -> bytes | None:
    """Return the body of an HTTP/1.1 answer once it is whole: by its length, or in chunks."""
    end = data.find(HEAD_END)
    if end < 0:
        return None
    head = data[:end].lower()
    start = end + len(HEAD_END)
    place = head.find(b"content-length:")
    if place >= 0:
        stop = head.find(b"\r\n", place)
        length = int(head[place + 15 : stop if stop >= 0 else end])
        return data[start:] if len(data) - start >= length else None
    if b"transfer-encoding: chunked" in head:
        return joined(data[start:]) if data.endswith(b"0\r\n\r\n") else None
    return b""


def joined(chunks: bytes) -> bytes:
    """Return what chunks hold together."""
    parts: list[bytes] = []
    place = 0
    while True:
        end = chunks.index(b"\r\n", place)
        length = int(chunks[place:end], 16)
        if length == 0:
            return b"".join(parts)
        parts.append(chunks[end + 2 : end + 2 + length])
        place = end + 2 + length + 2


async def connect(target: Target, result: Measured, done: Done) -> Connection:
    """Open one connection.

    Raises:
        OSError: Nobody listens.
        TimeoutError: Nobody answered within CONNECT_SECONDS.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        _, made = await loop.create_connection(lambda: Connection(target, result, done), "127.0.0.1", target.port)
    return made


async def _closed(target: Target, connections: int, seconds: float, warm_up: float) -> Measured:
    result, discarded = Measured(), Measured()
    finished = asyncio.get_running_loop().create_future()
    clock = time.perf_counter
    start = clock() + warm_up
    end = start + seconds
    count, open_ = 0, connections

    def done(connection: Connection, code: int, due: float) -> None:
        nonlocal count, open_
        now = clock()
        if now < end and connection.transport is not None:
            if now >= start:  # not `due`: of a slow server that would leave out what was in flight
                result.latencies.append(now - due)
                result.codes.append(code)
            count += 1
            connection.ask(count, now)
            return
        open_ -= 1
        if open_ == 0 and not finished.done():
            finished.set_result(None)

    made = [await connect(target, discarded if warm_up else result, done) for _ in range(connections)]
    start = clock() + warm_up
    end = start + seconds
    if warm_up:
        asyncio.get_running_loop().call_later(warm_up, _switch, made, result)
    for index, connection in enumerate(made):
        connection.ask(index * 31, clock())
    try:
        await asyncio.wait_for(finished, warm_up + seconds + GIVE_UP_SECONDS)
    except TimeoutError:
        result.statuses["unanswered"] += open_
    _close(made)
    result.seconds, result.sent = seconds, count
    return result


def _switch(connections: list[Connection], result: Measured) -> None:
    for connection in connections:
        connection._result = result


def _close(connections: Sequence[Connection]) -> None:
    for connection in connections:
        if connection.transport is not None:
            connection.busy = False
            connection.transport.abort()


class _Open:
    """An open loop: requests come due by a Poisson process and take any free connection, else they wait here."""

    def __init__(self, target: Target, rate: float, seconds: float) -> None:
        self.target, self.rate, self.seconds = target, rate, seconds
        self.result = Measured(seconds=seconds)
        self.free: list[Connection] = []
        self.waiting: list[float] = []
        self._random = random.Random(7)  # noqa: S311  # the same arrivals for every server

    def done(self, connection: Connection, code: int, due: float) -> None:
        """Record an answer; the connection takes what has waited longest."""
        self.result.latencies.append(time.perf_counter() - due)
        self.result.codes.append(code)
        if connection.transport is not None:
            self.free.append(connection)

    def send(self, now: float) -> None:
        """Give what is due to free connections, oldest first."""
        taken = min(len(self.free), len(self.waiting))
        for due in self.waiting[:taken]:
            self.free.pop().ask(self.result.sent, due)
            self.result.sent += 1
        del self.waiting[:taken]

    async def run(self, connections: int) -> Measured:
        made = [await connect(self.target, self.result, self.done) for _ in range(connections)]
        self.free = list(made)
        start = time.perf_counter()
        due = start
        while (now := time.perf_counter()) < start + self.seconds:
            while due <= now:
                self.waiting.append(due)
                due += self._random.expovariate(self.rate)
            self.send(now)
            await asyncio.sleep(0.0005)
        deadline = time.perf_counter() + GIVE_UP_SECONDS
        while any(one.busy for one in made) and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        self.result.statuses["unanswered"] = sum(one.busy for one in made)
        self.result.statuses["not sent"] = len(self.waiting)
        _close(made)
        return self.result


def closed_loop(target: Target, connections: int, seconds: float, warm_up: float = 0.5) -> Measured:
    """Ask with `connections` clients, each as soon as it is answered; the first `warm_up` seconds do not count."""
    return uvloop.run(_closed(target, connections, seconds, warm_up))


def open_loop(target: Target, rate: float, seconds: float, *, connections: int) -> Measured:
    """Ask `rate` times a second on average over at most `connections` connections."""
    return uvloop.run(_Open(target, rate, seconds).run(connections))


def http_request(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """Return the bytes of a POST with a JSON body."""
    named: dict[str, Any] = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "content-length": len(body),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
