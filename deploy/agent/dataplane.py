"""The one internal `predict` that every protocol speaks to: check, batch, record, answer.

No answer leaves before its record is in the spool; where the spool cannot take it, the request fails instead.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
import uuid_utils

from deploy.agent.batching import Batcher, Failure, Job, Score
from deploy.agent.level import Level
from deploy.agent.limits import Limits
from deploy.agent.outputs import Outputs
from deploy.agent.recording import Asked, Caller, Finished, Identity, Recorder
from deploy.agent.refusal import RefusalError
from deploy.agent.telemetry.metrics import Metrics
from flywheel.contract import Contract, ValidRow
from flywheel.errors import ContractError

if TYPE_CHECKING:  # OpenTelemetry is not loaded in an agent without a collector
    from deploy.agent.telemetry.tracing import Trace

# One row of a request, as parsed: column to value.
Row = Mapping[str, Any]
UNRECORDED = Failure("log", "The prediction could not be recorded, so it is not given. Try again.")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """The outputs and the prediction id of each row."""

    predictions: list[Outputs]
    prediction_ids: list[str]


class Gap:
    """Answers that were given without a record: told when it opens, and how many they were when it closes."""

    def __init__(self, use_case: str, version: str) -> None:
        self._log = log.bind(use_case=use_case, version=version)
        self._answers = 0
        self._open = False

    def add(self, answers: int, fault: OSError) -> None:
        """Count answers that could not be recorded."""
        if not self._open:
            self._log.error("predictions are answered without a record", reason=str(fault))
        self._open, self._answers = True, self._answers + answers

    def close(self) -> None:
        """Say that records are written again."""
        if self._open:
            self._log.error("predictions are recorded again", answers_without_record=self._answers)
            self._open, self._answers = False, 0


class DataPlane:
    """Predicts for one version.

    Args:
        identity: What is served.
        contract: What a row must keep to.
        score: Rows and seconds in, the outputs of each row out.
        append: Makes complete record lines durable; raises OSError.
        limits: Bounds on queue, batch and time.
        width: Calls of `score` in flight at once.
        remote: `score` waits for another process.
        metrics: Is told of queue and calls.
        level: By how much answers are moved; None: never.
    """

    def __init__(
        self,
        identity: Identity,
        contract: Contract,
        *,
        score: Score,
        append: Callable[[bytes], None],
        limits: Limits,
        width: int = 1,
        remote: bool = False,
        metrics: Metrics | None = None,
        level: Level | None = None,
    ) -> None:
        self.identity = identity
        self.contract = contract
        self._recorder = Recorder(identity, contract)
        self._append = append
        self._deadline_seconds = limits.deadline_seconds
        self._ignore_unknown = limits.ignore_unknown
        self._level = level
        self._unlogged, self._metrics, self._gap = limits.unlogged, metrics, Gap(identity.use_case, identity.version)
        self.batcher: Batcher[Asked] = Batcher(score, self._settle, limits, width=width, remote=remote, metrics=metrics)

    async def predict(self, rows: list[Row], caller: Caller) -> Answer:
        """Answer a request of one or many rows.

        Raises:
            RefusalError: A row breaks the contract, the queue is full, or the scorer or the spool failed.
        """
        received = time.monotonic()
        deadline = received + min(self._deadline_seconds, caller.patience or self._deadline_seconds)
        self.batcher.admit(len(rows), deadline)  # before the work of validation
        valid = self.validate(rows) if caller.trace is None else self._validate_traced(rows, caller, caller.trace)
        asked = Asked(caller, [str(uuid_utils.uuid7()) for _ in valid])
        predictions = await self.batcher.submit(Job(valid, asked, received, deadline, trace=caller.trace))
        return Answer(predictions, asked.prediction_ids)

    def validate(self, rows: list[Row]) -> list[ValidRow]:
        """Check rows against the contract.

        Raises:
            RefusalError: A row breaks it; names the first such row.
        """
        valid = []
        for index, row in enumerate(rows):
            try:
                valid.append(self.contract.validate_row(row, ignore_unknown=self._ignore_unknown))
            except ContractError as fault:
                raise RefusalError(fault.rule, str(fault), field=fault.field, row=index) from fault
        return valid

    def _validate_traced(self, rows: list[Row], caller: Caller, trace: "Trace") -> list[ValidRow]:
        trace.about(caller.request_id, len(rows))
        return trace.timed("validate", self.validate, rows)

    def _settle(self, finished: Finished) -> None:
        """Move the answers by what counts now, record them, in one write, then answer."""
        shift = 0.0
        if self._level is not None:
            finished, shift = self._level.moved(finished)
        try:
            self._write(self._recorder.lines(finished, shift), finished)
        except OSError as fault:
            finished = self._unrecorded(finished, fault)
        else:
            self._gap.close()
        for job, outcome in finished:
            if job.answer.done():
                continue
            if isinstance(outcome, Failure):
                job.answer.set_exception(RefusalError(outcome.rule, outcome.message))
            else:
                job.answer.set_result(outcome)

    def _write(self, lines: bytes, finished: Finished) -> None:
        traces = [job.trace for job, _ in finished if job.trace is not None]
        if traces:
            traces[0].timed("append", self._append, lines, traces[1:])
        else:
            self._append(lines)

    def _unrecorded(self, finished: Finished, fault: OSError) -> Finished:
        """Turn answers without a record into failures, unless the limits say that they are given all the same."""
        if not self._unlogged:
            return [(job, UNRECORDED) for job, _ in finished]
        answers = sum(len(outcome) for _, outcome in finished if not isinstance(outcome, Failure))
        self._gap.add(answers, fault)
        if self._metrics is not None:
            self._metrics.unlogged(answers)
        return finished
