"""The HTTP server: listens, ends connections that take too long or too much, and drains before it stops."""

import asyncio
from dataclasses import dataclass

import structlog

from deploy.agent.connection import Connection, Phase, lines_of
from deploy.agent.http import Application, Headers
from flywheel.errors import StackError

log = structlog.get_logger()


@dataclass(frozen=True)
class Patience:
    """How long a connection may take, in seconds, and how many there may be.

    Attributes:
        idle: Between two requests. Longer than Envoy's own time for upstream connections (an hour), so that the agent
            never closes one under a request.
        reading: From the first byte of a request to its last.
        answering: From there to its answer; the data plane's deadline ends long before.
        connections: More are closed at once.
    """

    idle: float = 3900.0
    reading: float = 30.0
    answering: float = 120.0
    connections: int = 20_000

    def over(self, connection: Connection, now: float) -> bool:
        """Say whether a connection has taken too long for what it does."""
        limit = {Phase.IDLE: self.idle, Phase.READING: self.reading, Phase.ANSWERING: self.answering}
        return now - connection.since > limit[connection.phase]


class HttpServer:
    """Serves one application on one port."""

    def __init__(self, application: Application, always: Headers, patience: Patience | None = None) -> None:
        self._application = application
        self._always = lines_of(always)
        self._patience = patience or Patience()
        self._connections: set[Connection] = set()
        self._gone = asyncio.Event()

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    @property
    def connections(self) -> frozenset[Connection]:
        """Those that are open."""
        return frozenset(self._connections)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            StackError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host, port, backlog=4096)
        except OSError as fault:
            raise StackError(f"Port {port} of {host} cannot be listened on: {fault.strerror or fault}.") from fault
        self._port: int = self._server.sockets[0].getsockname()[1]
        self._sweeper = loop.create_task(self._sweep())

    async def stop(self, seconds: float) -> None:
        """Take no new connection, answer what is in flight for at most `seconds`, and end all."""
        self._server.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        try:
            async with asyncio.timeout(seconds):
                while self._connections:
                    self._gone.clear()
                    await self._gone.wait()
        except TimeoutError:
            log.warning("connections cut", count=len(self._connections))
            for connection in list(self._connections):
                connection.give_up()
        self._sweeper.cancel()

    def _connection(self) -> asyncio.Protocol:
        if len(self._connections) >= self._patience.connections:
            return _TurnedAway()
        connection = Connection(self._application, self._always, asyncio.get_running_loop().time, self._forget)
        self._connections.add(connection)
        return connection

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._gone.set()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            now = loop.time()
            for connection in [one for one in self._connections if self._patience.over(one, now)]:
                connection.give_up()


class _TurnedAway(asyncio.Protocol):
    """Closes a connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()
