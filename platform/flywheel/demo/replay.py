"""Replays flights as traffic: one row a request, in the order of their times, at a steady pace."""

import asyncio
import math
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

CONNECTIONS = 32
TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True)
class Answer:
    """What a client saw of one request; `status` 0 means that no answer came. Only two classes have a probability."""

    request_id: str
    entity: str
    status: int
    version: str | None
    probability: float | None
    seconds: float


def replay(url: str, rows: Sequence[Mapping[str, Any]], *, entity: str, pace: float = math.inf) -> list[Answer]:
    """Send each row as one request and return what came back, in the order of the rows.

    Args:
        url: The use case's `/invocations` at the gateway.
        rows: Raw rows, JSON-ready, with the entity key.
        entity: Name of the entity column.
        pace: Requests a second at most; without it as fast as the gateway answers.
    """
    return asyncio.run(_replay(url, rows, entity, pace))


async def _replay(url: str, rows: Sequence[Mapping[str, Any]], entity: str, pace: float) -> list[Answer]:
    answers: list[Answer | None] = [None] * len(rows)
    pending, began = iter(enumerate(rows)), time.monotonic()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def client(work: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
            for index, row in work:
                await asyncio.sleep(began + index / pace - time.monotonic())  # at once where that has passed
                answers[index] = await _ask(session, url, row, entity)

        await asyncio.gather(*(client(pending) for _ in range(CONNECTIONS)))
    return [answer for answer in answers if answer is not None]


async def _ask(session: aiohttp.ClientSession, url: str, row: Mapping[str, Any], entity: str) -> Answer:
    request_id = str(uuid.uuid4())
    columns = list(row)
    body = orjson.dumps({"dataframe_split": {"columns": columns, "data": [[row[name] for name in columns]]}})
    headers = {"content-type": "application/json", "x-request-id": request_id}
    started = time.perf_counter()
    try:
        async with session.post(url, data=body, headers=headers) as response:
            content = await response.read()
            status, version = response.status, response.headers.get("x-flywheel-version")
    except (aiohttp.ClientError, TimeoutError):
        return Answer(request_id, str(row[entity]), 0, None, None, time.perf_counter() - started)
    probability = orjson.loads(content)["predictions"][0].get("probability") if status == 200 else None
    return Answer(request_id, str(row[entity]), status, version, probability, time.perf_counter() - started)
