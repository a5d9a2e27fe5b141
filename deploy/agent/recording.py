"""What the agent writes into its spool: the records of requests that finished together, as one line of columns.

A line says once what its records share, and gives a list for everything else, a value a record:

    {"schema_version": 1, "use_case": …, "recorded_time": …, "request_id": [a, b], …, "inputs": {"x": [1, 2], …}, …}

With names and constants written once, this takes half the time and a third of the bytes of a line a record.
`deploy.log.batch_lines` reads them.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson

from deploy.agent.batching import Failure, Job, Outcome
from flywheel.contract import Contract

if TYPE_CHECKING:  # OpenTelemetry is not loaded in an agent without a collector
    from deploy.agent.telemetry.tracing import Trace

SCHEMA_VERSION = 1
# A line that would be longer is split; far below what the shipper reads of a file in one go.
LINE_BYTES = 4 << 20

# Flag of what was answered in another version's stead.
FALLBACK = "fallback"

Finished = Sequence[tuple[Job["Asked"], Outcome]]
# A list of one value a record by column; inputs and outputs hold one by name.
Columns = dict[str, Any]


@dataclass(frozen=True)
class Identity:
    """What this agent serves."""

    use_case: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Caller:
    """What the gateway says about a request: ids, which try it is, and what was randomised."""

    request_id: str
    attempt: int = 1
    rollout: str | None = None
    arm: str | None = None
    unit: str | None = None
    # Seconds that the caller waits; None: as long as this agent allows.
    patience: float | None = None
    # For whom this agent stands in; None where it was meant.
    fallback: str | None = None
    # Its spans, where it is traced.
    trace: "Trace | None" = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A caller with the ids of its predictions, one a row."""

    caller: Caller
    prediction_ids: list[str]


class Recorder:
    """Writes the lines of one version."""

    def __init__(self, identity: Identity, contract: Contract) -> None:
        self._inputs = [column.name for column in contract.columns]
        self._outputs = [output.name for output in contract.outputs]
        self._nothing: Mapping[str, None] = dict.fromkeys(self._outputs)
        self._shared = {
            "schema_version": SCHEMA_VERSION,
            "use_case": identity.use_case,
            "model_version": identity.version,
            "model_digest": identity.digest,
            "cache_hit": False,
        }

    def lines(self, finished: Finished, shift: float = 0.0) -> bytes:
        """Return whole lines of what finished now, nearly always one; `shift` is what its answers were moved by."""
        columns = _requests(finished) | self._rows(finished) | self._results(finished)
        count = len(columns["row"])
        shared = self._shared | {"recorded_time": datetime.now(UTC).replace(tzinfo=None)}
        if shift:
            shared["shift"] = shift
        return b"".join(_written(shared, columns, count)) if count else b""

    def _rows(self, finished: Finished) -> Columns:
        rows = list(chain.from_iterable([job.rows for job, _ in finished]))
        return {
            "event_time": [row.event_time for row in rows],
            "subject": [row.subject for row in rows],
            "entity": [row.entity for row in rows],
            "flags": _flags(finished),
            "inputs": _by_name(self._inputs, [row.inputs.values() for row in rows]),
        }

    def _results(self, finished: Finished) -> Columns:
        answers: list[Mapping[str, Any]] = []
        failed: list[tuple[slice, str]] = []
        for job, outcome in finished:
            if isinstance(outcome, Failure):
                failed.append((slice(len(answers), len(answers) + len(job.rows)), f"{outcome.rule}: {outcome.message}"))
                answers += [self._nothing] * len(job.rows)
            else:
                answers += outcome
        status, errors = ["scored"] * len(answers), list[str | None]([None]) * len(answers)
        for rows, error in failed:
            status[rows] = ["failed"] * len(status[rows])
            errors[rows] = [error] * len(errors[rows])
        outputs = _by_name(self._outputs, [answer.values() for answer in answers])
        return {"status": status, "error": errors, "outputs": outputs}


def _flags(finished: Finished) -> list[list[str]]:
    """Return the flags of each row; of all rows of a request that another version should have answered one more."""
    if not any(job.caller.caller.fallback for job, _ in finished):
        return [row.flags for job, _ in finished for row in job.rows]
    return [
        [*row.flags, FALLBACK] if job.caller.caller.fallback else row.flags for job, _ in finished for row in job.rows
    ]


def _requests(finished: Finished) -> Columns:
    moment = time.monotonic()
    jobs, index = [job for job, _ in finished], [0] * len(finished)
    predictions = list(chain.from_iterable([job.caller.prediction_ids for job in jobs]))
    if [len(job.rows) for job in jobs].count(1) != len(jobs):  # nearly all requests have one row
        index = [number for job in jobs for number in range(len(job.rows))]
        jobs = [job for job in jobs for _ in job.rows]
    callers = [job.caller.caller for job in jobs]
    return {
        "request_id": [caller.request_id for caller in callers],
        "attempt": [caller.attempt for caller in callers],
        "rollout": [caller.rollout for caller in callers],
        "arm": [caller.arm for caller in callers],
        "unit": [caller.unit for caller in callers],
        "row": index,
        "prediction_id": predictions,
        # Whole microseconds; round() would take a quarter of all that a record costs.
        "latency_ms": [int((moment - job.received) * 1e6) / 1e3 for job in jobs],
    }


def _written(shared: Columns, columns: Columns, count: int) -> Iterator[bytes]:
    line = orjson.dumps(shared | columns, option=orjson.OPT_APPEND_NEWLINE)
    if len(line) <= LINE_BYTES or count == 1:
        yield line
        return
    middle = count // 2
    yield from _written(shared, _part(columns, slice(middle)), middle)
    yield from _written(shared, _part(columns, slice(middle, None)), count - middle)


def _part(columns: Columns, records: slice) -> Columns:
    return {
        name: _part(values, records) if isinstance(values, dict) else values[records]
        for name, values in columns.items()
    }


def _by_name(names: Sequence[str], records: Sequence[Iterable[Any]]) -> Columns:
    return dict(zip(names, zip(*records, strict=True), strict=False))
