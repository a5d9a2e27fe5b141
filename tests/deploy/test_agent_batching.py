"""Micro-batching: whatever arrives together and whatever fails, each request gets its own rows' answer, once."""

import asyncio
import math
import time
from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.agent.backends.backend import ScorerError, ScorerUnreachableError
from deploy.agent.batching import Batcher, Failure, Job, Outcome
from deploy.agent.limits import Limits
from deploy.agent.outputs import Outputs
from deploy.agent.refusal import RefusalError
from flywheel.contract import ValidRow

LATER = math.inf
POISON = -1.0
NO_ANSWER = -2.0


def valid_row(value: float) -> ValidRow:
    return ValidRow({"value": value}, datetime(2013, 1, 1), None, None, [])


class Recorder:
    """Answers each row with its own value, and keeps what was asked and settled."""

    def __init__(self, at_once: int = 1) -> None:
        self.at_once = at_once
        self.batches: list[list[float]] = []
        self.settled: dict[int, Outcome] = {}
        self.in_flight = 0

    async def score(self, rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        assert self.in_flight < self.at_once, "too many calls at once"
        self.in_flight += 1
        await asyncio.sleep(0)
        self.in_flight -= 1
        values = [row.inputs["value"] for row in rows]
        self.batches.append(values)
        if POISON in values:
            raise ScorerError("a row broke the model")
        return [None if value == NO_ANSWER else {"value": value} for value in values]

    def settle(self, finished: Sequence[tuple[Job[int], Outcome]]) -> None:
        for job, outcome in finished:
            assert job.caller not in self.settled, "settled twice"
            self.settled[job.caller] = outcome
            job.answer.set_result([])


REQUESTS = st.lists(
    st.lists(st.sampled_from([POISON, NO_ANSWER, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=5), min_size=1, max_size=30
)


@settings(max_examples=200, deadline=None)
@given(requests=REQUESTS, pauses=st.sets(st.integers(0, 29)), remote=st.booleans())
def test_each_request_gets_the_answer_to_its_own_rows(
    requests: list[list[float]], pauses: set[int], remote: bool
) -> None:
    async def scenario() -> Recorder:
        recorder = Recorder(at_once=2 if remote else 1)
        batcher = Batcher(recorder.score, recorder.settle, Limits(batch_rows=8), remote=remote)
        task = asyncio.create_task(batcher.run())
        answers = []
        for number, values in enumerate(requests):
            answers.append(batcher.submit(Job([valid_row(value) for value in values], number, time.monotonic(), LATER)))
            if number in pauses:
                await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*answers), 10)
        task.cancel()
        return recorder

    recorder = asyncio.run(scenario())
    for number, values in enumerate(requests):
        outcome = recorder.settled[number]
        if POISON in values or NO_ANSWER in values:
            assert isinstance(outcome, Failure)
        else:
            assert outcome == [{"value": value} for value in values]
    assert all(len(batch) <= 8 for batch in recorder.batches)


async def test_what_waits_goes_in_one_batch() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.score, recorder.settle, Limits())
    answers = [batcher.submit(Job([valid_row(0.5)], number, time.monotonic(), LATER)) for number in range(100)]
    task = asyncio.create_task(batcher.run())
    await asyncio.gather(*answers)
    task.cancel()
    assert len(recorder.batches) == 1


async def test_a_full_queue_refuses() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.score, recorder.settle, Limits(queue_rows=3))
    batcher.submit(Job([valid_row(0.5)] * 3, 0, time.monotonic(), LATER))
    with pytest.raises(RefusalError, match="waiting") as caught:
        batcher.submit(Job([valid_row(0.5)], 1, time.monotonic(), LATER))
    assert caught.value.status == 429


async def test_any_request_is_taken_where_nobody_waits() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.score, recorder.settle, Limits(queue_rows=3))
    answer = batcher.submit(Job([valid_row(0.5)] * 7, 0, time.monotonic(), LATER))
    with pytest.raises(RefusalError, match="waiting"):
        batcher.submit(Job([valid_row(0.5)], 1, time.monotonic(), LATER))
    task = asyncio.create_task(batcher.run())
    await asyncio.wait_for(answer, 10)
    task.cancel()
    assert recorder.batches == [[0.5] * 7]


async def test_a_request_whose_caller_has_gone_is_neither_scored_nor_settled() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.score, recorder.settle, Limits())
    gone, kept = (
        batcher.submit(Job([valid_row(value)], number, 0.0, LATER)) for number, value in enumerate((0.5, 1.0))
    )
    gone.cancel()
    task = asyncio.create_task(batcher.run())
    await asyncio.wait_for(kept, 10)
    task.cancel()
    assert recorder.batches == [[1.0]]
    assert set(recorder.settled) == {1}


async def test_a_request_past_its_deadline_fails_without_being_scored() -> None:
    recorder = Recorder()
    now = 0.0
    batcher = Batcher(recorder.score, recorder.settle, Limits(), clock=lambda: now)
    late = batcher.submit(Job([valid_row(0.5)], 0, received=0, deadline=5))
    fresh = batcher.submit(Job([valid_row(0.25)], 1, received=0, deadline=7))
    now = 6.0
    task = asyncio.create_task(batcher.run())
    await asyncio.gather(late, fresh)
    task.cancel()
    late_outcome = recorder.settled[0]
    assert isinstance(late_outcome, Failure)
    assert late_outcome.rule == "deadline"
    assert recorder.settled[1] == [{"value": 0.25}]
    assert recorder.batches == [[0.25]]


async def test_a_scorer_that_is_gone_is_asked_once_for_the_whole_batch() -> None:
    asked = 0

    async def gone(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        nonlocal asked
        asked += 1
        raise ScorerUnreachableError("gone")

    recorder = Recorder()
    batcher = Batcher(gone, recorder.settle, Limits())
    answers = [batcher.submit(Job([valid_row(0.5)], number, time.monotonic(), LATER)) for number in range(50)]
    task = asyncio.create_task(batcher.run())
    await asyncio.gather(*answers)
    task.cancel()
    assert asked == 1
    assert all(isinstance(outcome, Failure) for outcome in recorder.settled.values())


async def test_calls_in_flight_are_as_many_as_the_backend_is_wide() -> None:
    in_flight, most = 0, 0
    both = asyncio.Event()

    async def score(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        if in_flight == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 10)
        in_flight -= 1
        return [{"value": row.inputs["value"]} for row in rows]

    recorder = Recorder()
    batcher = Batcher(score, recorder.settle, Limits(batch_rows=1), width=2)
    answers = [batcher.submit(Job([valid_row(0.5)], number, 0, LATER)) for number in range(6)]
    task = asyncio.create_task(batcher.run())
    await asyncio.gather(*answers)
    task.cancel()
    assert most == 2
    assert len(recorder.settled) == 6


@pytest.mark.parametrize("remote", [True, False])
async def test_a_scorer_in_another_process_has_its_next_full_batch_before_the_last_is_answered(remote: bool) -> None:
    events: list[str] = []
    now = 0.0

    async def score(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        nonlocal now
        now += 1.0  # far more than the turn of a scorer in this process
        events.append("asked")
        await asyncio.sleep(0)
        return [{"value": 0.5} for _ in rows]

    def settle(finished: Sequence[tuple[Job[int], Outcome]]) -> None:
        for job, _ in finished:
            job.answer.set_result([])

    async def client(answer: asyncio.Future[list[Outputs]]) -> None:
        await answer
        events.append("answered")

    batcher = Batcher(score, settle, Limits(batch_rows=2), remote=remote, clock=lambda: now)
    clients = [
        asyncio.create_task(client(batcher.submit(Job([valid_row(0.5)], number, 0, LATER)))) for number in range(4)
    ]
    task = asyncio.create_task(batcher.run())
    await asyncio.gather(*clients)
    task.cancel()
    first = ["asked", "asked"] if remote else ["asked", "answered"]
    assert events[:2] == first


async def test_what_cannot_be_answered_in_time_is_refused_when_it_comes() -> None:
    now = 0.0

    async def slow(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        nonlocal now
        now += 1.0
        return [{"value": row.inputs["value"]} for row in rows]

    recorder = Recorder()
    batcher = Batcher(slow, recorder.settle, Limits(batch_rows=1, queue_rows=100, queue_seconds=100), clock=lambda: now)
    task = asyncio.create_task(batcher.run())
    for number in range(20):  # it learns that a call takes a second
        await batcher.submit(Job([valid_row(0.5)], number, now, LATER))
    task.cancel()
    for number in range(20, 30):
        batcher.submit(Job([valid_row(0.5)], number, now, LATER))
    with pytest.raises(RefusalError, match="deadline") as caught:
        batcher.submit(Job([valid_row(0.5)], 30, now, now + 5))
    assert (caught.value.status, caught.value.retry_after) == (429, 10)
    batcher.submit(Job([valid_row(0.5)], 31, now, now + 11))


async def test_whatever_a_batch_does_the_next_one_is_served() -> None:
    calls = 0

    async def score(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise AttributeError("nobody foresaw this")
        return [{"value": row.inputs["value"]} for row in rows]

    recorder = Recorder()
    batcher = Batcher(score, recorder.settle, Limits())
    task = asyncio.create_task(batcher.run())
    with pytest.raises(RefusalError, match="unexpectedly") as caught:
        await batcher.submit(Job([valid_row(0.5)], 0, time.monotonic(), LATER))
    assert caught.value.status == 503
    await batcher.submit(Job([valid_row(0.25)], 1, time.monotonic(), LATER))
    task.cancel()
    assert recorder.settled == {1: [{"value": 0.25}]}
