"""The client of this version's `mlflow models serve`: validated rows in, the outputs of each row out."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import aiohttp
import orjson

from deploy.agent.backends.backend import ScorerError, ScorerUnreachableError
from deploy.agent.outputs import OutputReader, Outputs
from flywheel.contract import Contract, ValidRow

# Below uvicorn's 5 seconds, so that the scorer never closes a connection that we are about to use.
KEEP_ALIVE_SECONDS = 3.0


class Worker:
    """One keep-alive client, used as an async context."""

    def __init__(self, url: str, contract: Contract) -> None:
        self.url = url.rstrip("/")
        self._columns = [column.name for column in contract.columns]
        self._reader = OutputReader(contract)
        self._times = [index for index, column in enumerate(contract.columns) if column.type == "datetime"]

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
        body = orjson.dumps(
            {"dataframe_split": {"columns": self._columns, "data": [self._values(row) for row in rows]}}
        )
        try:
            status, answer = await self._post(
                body, timeout, None if traceparent is None else {"traceparent": traceparent}
            )
        except aiohttp.ClientConnectorError as fault:
            raise ScorerUnreachableError("The scorer does not accept connections.") from fault
        except TimeoutError as fault:
            raise ScorerUnreachableError(f"The scorer did not answer within {timeout:.1f} seconds.") from fault
        except aiohttp.ClientError as fault:
            raise ScorerUnreachableError(f"The connection to the scorer broke: {type(fault).__name__}.") from fault
        if status != 200:
            raise ScorerError(f"The scorer answered {status}.")
        return self._read(answer, len(rows))

    async def answers(self, timeout: float) -> bool:
        """Say whether the scorer's own `/ping` is fine within `timeout` seconds."""
        limit = aiohttp.ClientTimeout(total=timeout)
        try:
            async with self._session.get(f"{self.url}/ping", timeout=limit) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _post(self, body: bytes, seconds: float, headers: Mapping[str, str] | None) -> tuple[int, bytes]:
        async with asyncio.timeout(seconds):
            try:
                return await self._post_once(body, headers)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as fault:
                if isinstance(fault, aiohttp.ClientConnectorError):
                    raise
                # A kept connection that the other side had closed; scoring has no effects, so once more.
                return await self._post_once(body, headers)

    async def _post_once(self, body: bytes, headers: Mapping[str, str] | None) -> tuple[int, bytes]:
        async with self._session.post(f"{self.url}/invocations", data=body, headers=headers) as response:
            return response.status, await response.read()

    def _values(self, row: ValidRow) -> list[Any]:
        values = list(row.inputs.values())
        for index in self._times:
            moment: datetime | None = values[index]
            # pandas infers one format from the first row and fails on the others, so all rows get the same digits.
            values[index] = None if moment is None else moment.isoformat(timespec="microseconds")
        return values

    def _read(self, answer: bytes, n_rows: int) -> list[Outputs | None]:
        try:
            values = [self._reader.read(entry) for entry in orjson.loads(answer)["predictions"]]
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as fault:
            raise ScorerError("The scorer answered something that is no list of predictions.") from fault
        if len(values) != n_rows:
            raise ScorerError(f"The scorer answered {len(values)} predictions for {n_rows} rows.")
        return values
