"""Micro-batching: one call to the scorer in flight; everything that waits meanwhile goes in the next.

A batch is scored in about the time of one row, so this multiplies throughput without adding more than one call's time.
Two calls in flight were measured to be slower on two cores.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from deploy.agent.backends.backend import ScorerError, ScorerUnreachableError
from deploy.agent.limits import Limits
from deploy.agent.outputs import Outputs
from deploy.agent.refusal import RefusalError
from flywheel.contract import ValidRow

C = TypeVar("C")


@dataclass(slots=True, eq=False)
class Job(Generic[C]):
    """One request on its way: its rows, who asked, and when (monotonic seconds)."""

    rows: list[ValidRow]
    caller: C
    received: float
    answer: "asyncio.Future[list[Outputs]]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job has no outputs; `rule` is `scorer` or `deadline`."""

    rule: str
    message: str


Outcome = list[Outputs] | Failure
Score = Callable[[list[ValidRow], float], Awaitable[list[Outputs | None]]]
Settle = Callable[[Sequence[tuple[Job[C], Outcome]]], None]

DEADLINE = Failure("deadline", "The scorer was too busy to answer in time. Try again.")
NO_OUTPUTS = Failure("scorer", "The model gave no valid answer for this row.")


class Batcher(Generic[C]):
    """Collects jobs, scores them in batches in order of arrival, and hands each with its outcome to `settle`.

    `settle` is called once for each job that `submit` took, with as many finished jobs as there are at that moment.
    """

    def __init__(self, score: Score, settle: Settle[C], limits: Limits) -> None:
        self._score = score
        self._settle = settle
        self._limits = limits
        self._waiting: deque[Job[C]] = deque()
        self._waiting_rows = 0
        self._arrived = asyncio.Event()

    def submit(self, job: Job[C]) -> "asyncio.Future[list[Outputs]]":
        """Queue a job; its answer is a future of the outputs of each row.

        Raises:
            RefusalError: The queue is full.
        """
        if self._waiting_rows + len(job.rows) > self._limits.queue_rows:
            raise RefusalError("busy", "Too many requests are waiting. Try again in a second.")
        self._waiting.append(job)
        self._waiting_rows += len(job.rows)
        self._arrived.set()
        return job.answer

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._arrived.wait()
            await self._serve(self._take())
            if not self._waiting:
                self._arrived.clear()

    def _take(self) -> list[Job[C]]:
        batch: list[Job[C]] = []
        rows = 0
        while self._waiting and (not batch or rows + len(self._waiting[0].rows) <= self._limits.batch_rows):
            job = self._waiting.popleft()
            batch.append(job)
            rows += len(job.rows)
        self._waiting_rows -= rows
        return batch

    async def _serve(self, batch: list[Job[C]]) -> None:
        """Score a batch; when it fails, halve it until each row's own request stands alone with its fault."""
        alive = self._drop_expired(batch)
        if not alive:
            return
        rows = [row for job in alive for row in job.rows]
        try:
            values = await self._score(rows, self._remaining(alive))
        except ScorerUnreachableError as fault:
            self._settle([(job, Failure("scorer", str(fault))) for job in alive])
        except ScorerError as fault:
            if len(alive) == 1:
                self._settle([(alive[0], Failure("scorer", str(fault)))])
                return
            middle = len(alive) // 2
            await self._serve(alive[:middle])
            await self._serve(alive[middle:])
        else:
            self._settle(_divide(alive, values))

    def _drop_expired(self, batch: list[Job[C]]) -> list[Job[C]]:
        latest = time.monotonic() - self._limits.deadline_seconds
        expired = [job for job in batch if job.received <= latest]
        if expired:
            self._settle([(job, DEADLINE) for job in expired])
        return [job for job in batch if job.received > latest]

    def _remaining(self, jobs: list[Job[C]]) -> float:
        oldest = min(job.received for job in jobs)
        return max(oldest + self._limits.deadline_seconds - time.monotonic(), 0.001)


def _divide(jobs: list[Job[C]], values: list[Outputs | None]) -> list[tuple[Job[C], Outcome]]:
    """Give each job the values of its own rows; a row without one fails its own request only."""
    shares: list[tuple[Job[C], Outcome]] = []
    start = 0
    for job in jobs:
        share = [value for value in values[start : start + len(job.rows)] if value is not None]
        shares.append((job, share if len(share) == len(job.rows) else NO_OUTPUTS))
        start += len(job.rows)
    return shares
