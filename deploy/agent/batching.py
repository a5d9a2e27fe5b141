"""Micro-batching: what waits while the model is busy goes into its next call.

A batch is scored in about the time of one row, so this multiplies throughput without adding more than one call's time,
and a lone request waits for nobody. What could not be answered before its deadline is refused when it comes, because an
answer that nobody waits for any more takes the time of one that somebody does.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from deploy.agent.backends.backend import ScorerError, ScorerUnreachableError
from deploy.agent.limits import Limits
from deploy.agent.outputs import Outputs
from deploy.agent.refusal import RefusalError
from deploy.agent.telemetry.metrics import Metrics
from flywheel.contract import ValidRow

if TYPE_CHECKING:  # OpenTelemetry is not loaded in an agent without a collector
    from deploy.agent.telemetry.tracing import Trace

C = TypeVar("C")

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Job(Generic[C]):
    """One request on its way: its rows, who asked, when, and until when it is of use (monotonic seconds)."""

    rows: list[ValidRow]
    caller: C
    received: float
    deadline: float
    answer: "asyncio.Future[list[Outputs]]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    trace: "Trace | None" = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job has no outputs; `rule` is `scorer` or `deadline`."""

    rule: str
    message: str


Outcome = list[Outputs] | Failure
Settle = Callable[[Sequence[tuple[Job[C], Outcome]]], None]


class Score(Protocol):
    """A backend's `score`."""

    def __call__(
        self, rows: list[ValidRow], timeout: float, traceparent: str | None = None, /
    ) -> Awaitable[list[Outputs | None]]:
        """Return the outputs of each row."""
        ...


TURN_SECONDS = 0.02  # of scoring between two turns of the event loop, while full batches wait
RECENT = 0.2  # weight of the latest call in what a call takes

FULL = "Too many requests are waiting. Try again later."
DEADLINE = Failure("deadline", "The scorer was too busy to answer in time. Try again.")
NO_OUTPUTS = Failure("scorer", "The model gave no valid answer for this row.")


class Batcher(Generic[C]):
    """Collects jobs, scores them in batches in order of arrival, and hands each with its outcome to `settle`.

    `settle` is called once for each job that `submit` took and whose answer is still awaited when its turn comes, with
    as many finished jobs as there are at that moment.

    Args:
        score: Rows and seconds in, the outputs of each row out.
        settle: Gets finished jobs.
        limits: Bounds on queue and batch.
        width: How many calls of `score` are in flight at once.
        remote: `score` waits for another process. It gets one call more than `width` while full batches wait, so that
            under overload it need not wait until this process has turned away whoever comes.
        metrics: Is told of queue and calls.
        clock: Gives monotonic seconds.
    """

    def __init__(
        self,
        score: Score,
        settle: Settle[C],
        limits: Limits,
        *,
        width: int = 1,
        remote: bool = False,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._score = score
        self._settle = settle
        self._limits = limits
        self._width, self._remote = width, remote
        self._metrics = metrics
        self._waiting: deque[Job[C]] = deque()
        self._waiting_rows = 0
        self._call_seconds = 0.0
        self._arrived, self._full = asyncio.Event(), asyncio.Event()

    @property
    def wait_seconds(self) -> float:
        """How long a request that comes now would wait: full calls before its own, each as long as the latest."""
        lanes = self._width + self._remote
        return self._waiting_rows / self._limits.batch_rows * self._call_seconds / lanes

    @property
    def is_full(self) -> bool:
        """Whether whoever comes now is refused, whatever its size and deadline."""
        return self._waiting_rows >= self._limits.queue_rows or self.wait_seconds > self._limits.queue_seconds

    def admit(self, rows: int, deadline: float) -> None:
        """Make sure that there is room, and time before the deadline; where nobody waits there is room for any request.

        Raises:
            RefusalError: The queue is full, or too long for the deadline.
        """
        wait = self.wait_seconds
        crowded = self._waiting_rows and self._waiting_rows + rows > self._limits.queue_rows
        if crowded or wait > self._limits.queue_seconds:
            raise RefusalError("busy", FULL, retry_after=wait)
        if self._clock() + wait > deadline:
            raise RefusalError("busy", "The queue is longer than this request's deadline.", retry_after=wait)

    def submit(self, job: Job[C]) -> "asyncio.Future[list[Outputs]]":
        """Queue a job; its answer is a future of the outputs of each row.

        Raises:
            RefusalError: The queue is full, or too long for the job's deadline.
        """
        self.admit(len(job.rows), job.deadline)
        self._waiting.append(job)
        self._waiting_rows += len(job.rows)
        self._arrived.set()
        if self._waiting_rows >= self._limits.batch_rows:
            self._full.set()
        if job.trace is not None:
            job.trace.queued()
        return job.answer

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._width):
                group.create_task(self._run(self._arrived))
            if self._remote:
                group.create_task(self._run(self._full))

    async def _run(self, ready: asyncio.Event) -> None:
        while True:
            await ready.wait()
            turn = self._clock() + TURN_SECONDS
            while ready.is_set():  # what made it so may be taken already
                await self._serve_whole(self._take())
                # A backend in this process never gives the loop a turn by itself. Under overload a turn of the loop
                # reads thousands of sockets, so that one batch a turn would leave most of the time to refusals.
                if not self._full.is_set() or self._clock() >= turn:
                    break
            await asyncio.sleep(0)  # so that whoever sent something meanwhile joins the next batch

    def _take(self) -> list[Job[C]]:
        batch: list[Job[C]] = []
        rows = 0
        while self._waiting and (not batch or rows + len(self._waiting[0].rows) <= self._limits.batch_rows):
            job = self._waiting.popleft()
            batch.append(job)
            if job.trace is not None:
                job.trace.dequeued()
            rows += len(job.rows)
        self._waiting_rows -= rows
        if not self._waiting:
            self._arrived.clear()
        if self._waiting_rows < self._limits.batch_rows:
            self._full.clear()
        if self._metrics is not None:
            self._metrics.waiting(self._waiting_rows)
        return batch

    async def _serve_whole(self, batch: list[Job[C]]) -> None:
        try:
            await self._serve(batch)
        except Exception:  # whatever a batch does to backend or log, the next one must be served
            log.exception("a batch failed unexpectedly", requests=len(batch))
            for job in batch:
                if not job.answer.done():
                    job.answer.set_exception(RefusalError("scorer", "The agent failed unexpectedly. Try again."))

    async def _serve(self, batch: list[Job[C]]) -> None:
        """Score a batch; when it fails, halve it until each row's own request stands alone with its fault."""
        alive = self._drop_expired(batch)
        if not alive:
            return
        rows = [row for job in alive for row in job.rows]
        began = self._clock()
        try:
            values = await self._call(alive, rows)
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
            self._learn(len(rows), self._clock() - began)
            self._settle(_divide(alive, values))

    async def _call(self, jobs: list[Job[C]], rows: list[ValidRow]) -> list[Outputs | None]:
        traces = [job.trace for job in jobs if job.trace is not None]
        if not traces:
            return await self._score(rows, self._remaining(jobs))
        with traces[0].scoring(traces[1:], len(rows)) as traceparent:
            return await self._score(rows, self._remaining(jobs), traceparent)

    def _learn(self, rows: int, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.scored(rows, seconds)
        self._call_seconds += RECENT * (seconds - self._call_seconds)

    def _drop_expired(self, batch: list[Job[C]]) -> list[Job[C]]:
        now = self._clock()
        awaited = [job for job in batch if not job.answer.done()]  # of the others the caller has gone
        expired = [job for job in awaited if job.deadline <= now]
        if expired:
            self._settle([(job, DEADLINE) for job in expired])
        return [job for job in awaited if job.deadline > now]

    def _remaining(self, jobs: list[Job[C]]) -> float:
        """Return the time of whoever can wait longest: the others are answered when it is over or before."""
        return max(max(job.deadline for job in jobs) - self._clock(), 0.001)


def _divide(jobs: list[Job[C]], values: list[Outputs | None]) -> list[tuple[Job[C], Outcome]]:
    """Give each job the values of its own rows; a row without one fails its own request only."""
    shares: list[tuple[Job[C], Outcome]] = []
    start = 0
    for job in jobs:
        share = [value for value in values[start : start + len(job.rows)] if value is not None]
        shares.append((job, share if len(share) == len(job.rows) else NO_OUTPUTS))
        start += len(job.rows)
    return shares
