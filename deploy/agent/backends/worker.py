"""The client of this version's `mlflow models serve`: validated rows in, the outputs of each row out."""

import asyncio
from collections.abc import Mapping
from typing import Self

import aiohttp
import orjson

from deploy.agent.backends.backend import ScorerError, ScorerUnreachableError
from deploy.agent.backends.worker_body import WorkerBody
from deploy.agent.outputs import OutputReader, Outputs
from flywheel.contract import Contract, ValidRow

# Below uvicorn's 5 seconds, so that the scorer never closes a connection that we are about to use.
KEEP_ALIVE_SECONDS = 3.0


class Worker:
    """One keep-alive client, used as an async context."""

    def __init__(self, url: str, contract: Contract) -> None:
        self.url = url.rstrip("/")
        self._body = WorkerBody(contract)
        self._reader = OutputReader(contract)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=4, keepalive_timeout=KEEP_ALIVE_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, headers={"content-type": "application/json"})
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._session.close()

    async def score(self, rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        """Return the outputs of each row (n_rows), None where the model gave none that keep the contract.

        Raises:
            ScorerError: The scorer refused the batch or answered something else.
            ScorerUnreachableError: No answer within `timeout` seconds, or no connection.
        """
        headers = None if traceparent is None else {"traceparent": traceparent}
        try:
            async with asyncio.timeout(timeout):
                values = [value for body in self._body.write(rows) for value in await self._ask(body, headers)]
        except aiohttp.ClientConnectorError as fault:
            raise ScorerUnreachableError("The scorer does not accept connections.") from fault
        except TimeoutError as fault:
            raise ScorerUnreachableError(f"The scorer did not answer within {timeout:.1f} seconds.") from fault
        except aiohttp.ClientError as fault:
            raise ScorerUnreachableError(f"The connection to the scorer broke: {type(fault).__name__}.") from fault
        if len(values) != len(rows):
            raise ScorerError(f"The scorer answered {len(values)} predictions for {len(rows)} rows.")
        return values

    async def answers(self, timeout: float) -> bool:
        """Say whether the scorer's own `/ping` is fine within `timeout` seconds."""
        limit = aiohttp.ClientTimeout(total=timeout)
        try:
            async with self._session.get(f"{self.url}/ping", timeout=limit) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _ask(self, body: bytes, headers: Mapping[str, str] | None) -> list[Outputs | None]:
        try:
            status, answer = await self._post(body, headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as fault:
            if isinstance(fault, aiohttp.ClientConnectorError):
                raise
            # A kept connection that the other side had closed; scoring has no effects, so once more.
            status, answer = await self._post(body, headers)
        if status != 200:
            raise ScorerError(f"The scorer answered {status}.", _detail(answer))
        return self._read(answer)

    async def _post(self, body: bytes, headers: Mapping[str, str] | None) -> tuple[int, bytes]:
        async with self._session.post(f"{self.url}/invocations", data=body, headers=headers) as response:
            return response.status, await response.read()

    def _read(self, answer: bytes) -> list[Outputs | None]:
        try:
            return [self._reader.read(entry) for entry in orjson.loads(answer)["predictions"]]
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as fault:
            raise ScorerError("The scorer answered something that is no list of predictions.") from fault


def _detail(answer: bytes) -> str:
    """Return what MLflow's server says of a failure: the last line of the stack trace, else its message."""
    try:
        told = orjson.loads(answer)
        trace = str(told.get("stack_trace") or "").strip().splitlines()
        return trace[-1] if trace else str(told["message"])
    except (orjson.JSONDecodeError, KeyError, AttributeError):
        return answer[:200].decode(errors="replace")
