"""The agent's application in this process, with a function in place of the model: what goes in and out of its paths."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from deploy.agent.backends.pool import Pool
from deploy.agent.dataplane import DataPlane
from deploy.agent.health import Health
from deploy.agent.http import Request, Response
from deploy.agent.limits import Limits
from deploy.agent.outputs import Outputs
from deploy.agent.recording import Identity
from deploy.agent.rest.app import Paths
from flywheel.contract import Contract, ValidRow
from tests.deploy.spool_lines import records_in
from tests.deploy.tiny_contract import CONTRACT

LIMITS = Limits(body_bytes=200_000, request_rows=8)


async def score(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
    return [{"probability": abs(float(row.inputs["chance"])) % 1} for row in rows]


@dataclass
class Served:
    """An application, and the lines that it recorded."""

    app: Paths
    written: list[bytes] = field(default_factory=list)

    async def ask(self, path: str, body: Any = None, method: str = "POST", **headers: str) -> Response:
        content = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return await asyncio.wait_for(self.app.handle(Request(method, path, given, content)), 10)

    def records(self) -> list[dict[str, Any]]:
        return records_in(b"".join(self.written))


@asynccontextmanager
async def serving(contract: Contract = CONTRACT, limits: Limits = LIMITS, **options: Any) -> AsyncIterator[Served]:
    written: list[bytes] = []
    dataplane = DataPlane(Identity("tiny", "1", "d"), contract, score=score, append=written.append, limits=limits)
    task = asyncio.create_task(dataplane.batcher.run())
    yield Served(Paths(dataplane, Health(Pool([]), []), limits, **options), written)
    task.cancel()
