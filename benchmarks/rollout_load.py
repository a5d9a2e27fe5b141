"""The client of the rollout benchmark, a process of its own: asks at a steady rate until it is told to end.

    python -m benchmarks.rollout_load PORT PATH RATE FILE

FILE gets four arrays, one entry a request in the order of their ends: when it was due and done (seconds since 1970),
its status (0: none came), and the version in its answer's header (0: none stood there). A file .began beside it tells
that it asks.
"""

import asyncio
import json
import random
import signal
import sys
import time
from array import array
from pathlib import Path
from typing import cast

import numpy as np
import uvloop

from benchmarks.load import CONNECT_SECONDS, HEAD_END, TICK_SECONDS, http_request, whole_body
from tests.deploy.conftest import row

CONNECTIONS = 64
VERSION = b"x-flywheel-version: "
# Half of the requests are those that a failing version fails on.
BODIES = [json.dumps({"dataframe_records": [row(count=count)]}).encode() for count in range(2)]


class Answered:
    """What came of every request."""

    def __init__(self) -> None:
        self.due, self.done = array("d"), array("d")
        self.code, self.version = array("i"), array("i")

    def add(self, due: float, code: int, version: int) -> None:
        """Note one."""
        self.due.append(due)
        self.done.append(time.time())
        self.code.append(code)
        self.version.append(version)

    def write(self, file: Path) -> None:
        """Write all of them."""
        with file.open("wb") as out:
            np.savez(out, due=self.due, done=self.done, code=self.code, version=self.version)


class Client(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, answered: Answered, free: list["Client"]) -> None:
        self._answered, self._free = answered, free
        self._buffer, self._due, self._busy = b"", 0.0, False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be free to ask."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._free.append(self)

    def ask(self, request: bytes, due: float) -> None:
        """Send a request."""
        self._due, self._busy = due, True
        if self.transport is not None:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Note an answer once it is whole."""
        self._buffer += data
        if whole_body(self._buffer) is None:
            return
        head = self._buffer[: self._buffer.find(HEAD_END)].lower()
        code, at = int(self._buffer[9:12]), head.find(VERSION)
        version = int(head[at + len(VERSION) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        self._buffer, self._busy = b"", False
        self._answered.add(self._due, code, version)
        self._free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note a request that got no answer."""
        self.transport = None
        if self._busy:
            self._answered.add(self._due, 0, 0)


async def ask(port: int, path: str, rate: float, file: Path) -> None:
    """Ask until SIGTERM; a request for which no connection is free opens one more."""
    answered, free, ended = Answered(), list[Client](), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    requests = [http_request(path, body) for body in BODIES]
    chance = random.Random(7)  # noqa: S311  # arrivals are no secret

    async def opened() -> Client:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, made = await loop.create_connection(lambda: Client(answered, free), "127.0.0.1", port)
        return made

    for _ in range(CONNECTIONS):
        await opened()
    file.with_suffix(".began").touch()
    due, number = time.time(), 0
    while not ended.is_set():
        now = time.time()
        while due <= now:
            client = _free_one(free)
            if client is None:
                await opened()
                continue
            client.ask(requests[number % 2], due)
            due += chance.expovariate(rate)
            number += 1
        await asyncio.sleep(TICK_SECONDS)
    await asyncio.sleep(1)  # for what is in flight
    for _ in range(number - len(answered.code)):
        answered.add(due, 0, 0)
    answered.write(file)


def _free_one(free: list[Client]) -> Client | None:
    while free:
        client = free.pop(0)
        if client.transport is not None and not client.transport.is_closing():
            return client
    return None


if __name__ == "__main__":
    uvloop.run(ask(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), Path(sys.argv[4])))
