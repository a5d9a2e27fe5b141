"""The client of the serving benchmarks: one process, one thread, the same for every server.

It writes ready-made requests and looks for as little as it must in the answers, so that it costs less than what it
measures: `python -m benchmarks.load_check` holds it against wrk. A closed loop asks again as soon as it is answered; an
open loop asks at random times of a given rate, whatever the server does, and counts latency from the time at which a
request was due (so a server that stalls cannot hide the requests that it kept waiting).
"""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

HEAD_END = b"\r\n\r\n"
SAMPLE_EVERY = 61  # of the answers, kept for comparison; a prime, so that every row's turn comes
CONNECT_SECONDS = 10.0
TICK_SECONDS = 0.001  # of the open loop; less than uvloop's resolution would be no sleep at all, and take a whole core
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
Lost = Callable[["Connection"], None]


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight.

    `done` gets the status and the time asked at; `lost` is told when the server has closed the connection.
    """

    def __init__(self, target: Target, result: Measured, done: Done, lost: Lost) -> None:
        self._target, self._result, self._done, self._lost = target, result, done, lost
        self._buffer = b""
        self._index = 0
        self._due = 0.0
        self.busy = self.ended = False
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
        if self.ended:
            return
        if self.busy:
            self.busy = False
            self._result.statuses["broken"] += 1
            self._done(self, 0, self._due)
        self._lost(self)

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


async def connect(target: Target, result: Measured, done: Done, lost: Lost) -> Connection:
    """Open one connection.

    Raises:
        OSError: Nobody listens.
        TimeoutError: Nobody answered within CONNECT_SECONDS.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        _, made = await loop.create_connection(lambda: Connection(target, result, done, lost), "127.0.0.1", target.port)
    return made


class _Loop(ABC):
    """What both loops share: connections that are opened again when the server has closed them, as clients do."""

    def __init__(self, target: Target, result: Measured) -> None:
        self.target, self.result = target, result
        self.open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()

    @abstractmethod
    def done(self, connection: Connection, code: int, due: float) -> None:
        """Take an answer; a code of 0 stands for none."""

    @abstractmethod
    def ready(self, connection: Connection) -> None:
        """Take a connection that can be asked."""

    async def connect(self) -> None:
        """Open one more connection."""
        made = await connect(self.target, self.result, self.done, self.lost)
        self.open.add(made)
        self.ready(made)

    def lost(self, connection: Connection) -> None:
        """Open another connection instead of one that the server has closed."""
        self.open.discard(connection)
        task = asyncio.get_running_loop().create_task(self._again())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _again(self) -> None:
        try:
            await self.connect()
        except (OSError, TimeoutError):
            self.result.statuses["not connected"] += 1

    def close(self) -> None:
        """Count what is still unanswered, and hang up."""
        for task in self._opening:
            task.cancel()
        self.result.statuses["unanswered"] += sum(one.busy for one in self.open)
        for connection in self.open:
            connection.ended = True
            if connection.transport is not None:
                connection.transport.abort()


class _Closed(_Loop):
    """A closed loop: each client asks as soon as it is answered; answers of the first seconds do not count."""

    def __init__(self, target: Target, seconds: float, warm_up: float) -> None:
        super().__init__(target, Measured(seconds=seconds))
        self._start = time.perf_counter() + warm_up
        self._end = self._start + seconds

    def ready(self, connection: Connection) -> None:
        """Ask at once."""
        now = time.perf_counter()
        if now < self._end:
            self.result.sent += 1
            connection.ask(self.result.sent, now)

    def done(self, connection: Connection, code: int, due: float) -> None:
        """Record an answer and ask again."""
        now = time.perf_counter()
        if self._start <= now < self._end:  # not `due`: of a slow server that would leave out what was in flight
            self.result.latencies.append(now - due)
            self.result.codes.append(code)
        if connection.transport is not None:
            self.ready(connection)

    async def run(self, connections: int) -> Measured:
        """Measure."""
        for _ in range(connections):
            await self.connect()
        await asyncio.sleep(self._end - time.perf_counter())
        deadline = time.perf_counter() + GIVE_UP_SECONDS
        while any(one.busy for one in self.open) and time.perf_counter() < deadline:
            await asyncio.sleep(0.005)
        self.close()
        return self.result


class _Open(_Loop):
    """An open loop: requests come due by a Poisson process, whatever became of those before.

    Each takes a free connection. Where none is free, it is lost and counted: a client that queued it would stand for a
    server's backlog, and would make every later answer late.
    """

    def __init__(self, target: Target, rate: float, seconds: float) -> None:
        super().__init__(target, Measured(seconds=seconds))
        self._rate = rate
        self._free: list[Connection] = []
        self._random = random.Random(7)  # noqa: S311  # the same arrivals for every server

    def ready(self, connection: Connection) -> None:
        """Keep it until something is due."""
        self._free.append(connection)

    def done(self, connection: Connection, code: int, due: float) -> None:
        """Record an answer."""
        self.result.latencies.append(time.perf_counter() - due)
        self.result.codes.append(code)
        if connection.transport is not None:
            self.ready(connection)

    def send(self, due: float) -> None:
        """Ask what was due at a time."""
        while self._free:
            connection = self._free.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                self.result.sent += 1
                connection.ask(self.result.sent, due)
                return
        self.result.statuses["no connection"] += 1

    async def run(self, connections: int) -> Measured:
        """Measure."""
        for _ in range(connections):
            await self.connect()
        start = time.perf_counter()
        due = start
        while (now := time.perf_counter()) < start + self.result.seconds:
            while due <= now:
                self.send(due)
                due += self._random.expovariate(self._rate)
            await asyncio.sleep(TICK_SECONDS)
        deadline = time.perf_counter() + GIVE_UP_SECONDS
        while any(one.busy for one in self.open) and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        self.close()
        return self.result


def closed_loop(target: Target, connections: int, seconds: float, warm_up: float = 0.5) -> Measured:
    """Ask with `connections` clients, each as soon as it is answered; the first `warm_up` seconds do not count."""
    return uvloop.run(_Closed(target, seconds, warm_up).run(connections))


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
