"""Several `mlflow models serve` workers as one backend; a call that one of them broke is tried once elsewhere."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import structlog

from deploy.agent.backends.backend import ScorerUnreachableError
from deploy.agent.backends.worker import Worker
from deploy.agent.outputs import Outputs
from flywheel.contract import ValidRow

CALLS = 2  # in flight on one worker at most
FIRST_SHARE = 0.5  # of a call's time that the first worker has where there is a second
FAIR_SECONDS = 0.05  # a worker that did not answer in less is not thereby broken

log = structlog.get_logger()


class Pool:
    """The workers of one version. A worker that broke a call is passed by until its `/ping` answers."""

    remote = True

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = list(workers)
        self._free_calls = dict.fromkeys(workers, CALLS)
        self._broken: set[Worker] = set()
        self._freed = asyncio.Condition()
        self.width = len(workers)

    async def __aenter__(self) -> Self:
        """Open a client for each worker."""
        async with AsyncExitStack() as opened:
            for worker in self._workers:
                await opened.enter_async_context(worker)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
        await self._opened.aclose()

    async def score(self, rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        """Return the outputs of each row (n_rows), None where the model gave none that keep the contract.

        Raises:
            ScorerError: A worker refused the batch or answered something else: another would, too.
            ScorerUnreachableError: No worker answered within `timeout` seconds.
        """
        end = asyncio.get_running_loop().time() + timeout
        alone = len(self._workers) == 1
        first = await self._take(end)
        try:
            # A worker that hangs must leave time for another.
            return await self._ask(first, rows, timeout if alone else timeout * FIRST_SHARE, traceparent)
        except ScorerUnreachableError:
            if alone:
                raise
        finally:
            await self._give_back(first)
        second = await self._take(end, other_than=first)
        try:
            return await self._ask(second, rows, max(end - asyncio.get_running_loop().time(), 0.001), traceparent)
        finally:
            await self._give_back(second)

    async def answers(self, timeout: float) -> bool:
        """Say whether any worker's own `/ping` is fine within `timeout` seconds, and look which."""
        found = await asyncio.gather(*(worker.answers(timeout) for worker in self._workers))
        for worker, answers in zip(self._workers, found, strict=True):
            if answers and worker in self._broken:
                log.info("worker is back", worker=worker.url)
            (self._broken.discard if answers else self._broken.add)(worker)
        return any(found)

    @property
    def live(self) -> int:
        """How many workers answered when they were last asked."""
        return len(self._workers) - len(self._broken)

    async def _ask(
        self, worker: Worker, rows: list[ValidRow], timeout: float, traceparent: str | None
    ) -> list[Outputs | None]:
        try:
            return await worker.score(rows, timeout, traceparent)
        except ScorerUnreachableError as fault:
            if timeout >= FAIR_SECONDS:
                self._broken.add(worker)
            log.warning("worker does not answer", worker=worker.url, reason=str(fault))
            raise

    async def _take(self, end: float, other_than: Worker | None = None) -> Worker:
        """Wait for a worker that lives; where none does, any that is idle has to do."""
        async with self._freed:
            try:
                async with asyncio.timeout_at(end):
                    await self._freed.wait_for(lambda: bool(self._free(other_than)))
            except TimeoutError as fault:
                raise ScorerUnreachableError("No worker was free in time.") from fault
            chosen = max(self._free(other_than), key=self._free_calls.__getitem__)
            self._free_calls[chosen] -= 1
            return chosen

    def _free(self, other_than: Worker | None) -> list[Worker]:
        wanted = [worker for worker in self._workers if worker is not other_than]
        living = [worker for worker in wanted if worker not in self._broken] or wanted
        return [worker for worker in living if self._free_calls[worker]]

    async def _give_back(self, worker: Worker) -> None:
        async with self._freed:
            self._free_calls[worker] += 1
            self._freed.notify_all()
