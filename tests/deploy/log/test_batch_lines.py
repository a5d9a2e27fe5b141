"""What an agent records of any requests is what the shipper reads, and what is no line is set aside alone."""

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.agent import recording
from deploy.agent.batching import Failure, Job, Outcome
from deploy.agent.recording import Asked, Caller, Identity, Recorder
from deploy.log.batch_lines import parse_predictions
from flywheel.contract import ValidRow
from flywheel.records import prediction_schema
from tests.deploy.spool_lines import line_of, records_in
from tests.deploy.test_shipper import record
from tests.deploy.tiny_contract import CLASSES, CONTRACT

SCHEMA = prediction_schema(CLASSES)
TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
MAYBE = st.none() | TEXT
MOMENT = st.datetimes(datetime(1678, 1, 1), datetime(2262, 1, 1))
Finished = tuple[list[ValidRow], Asked, Outcome]
SHIFT = st.just(0.0) | st.floats(-4, 4)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def rows(draw: st.DrawFn) -> ValidRow:
    at = draw(MOMENT)
    inputs = {
        "at": at,
        "chance": draw(NUMBER),
        "count": draw(st.integers(-(2**63), 2**63 - 1)),
        "gap": draw(st.none() | NUMBER),
        "mood": draw(MAYBE),
    }
    return ValidRow(inputs, at, draw(MAYBE), draw(MAYBE), draw(st.lists(TEXT, max_size=2)))


@st.composite
def outputs(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "prediction": draw(TEXT),
        "probability_calm": draw(st.floats(0, 1)),
        "probability_wild": draw(st.floats(0, 1)),
        "amount": draw(NUMBER),
        "decision": draw(st.booleans()),
    }


@st.composite
def finished(draw: st.DrawFn) -> Finished:
    some = draw(st.lists(rows(), min_size=1, max_size=3))
    ids = [f"p-{draw(st.integers(0, 10**9))}" for _ in some]
    caller = Caller(draw(TEXT), draw(st.integers(1, 32_767)), draw(MAYBE), draw(MAYBE), draw(MAYBE))
    failure = st.builds(Failure, TEXT, TEXT)
    return some, Asked(caller, ids), draw(failure | st.tuples(*(outputs() for _ in some)).map(list))


def expected(some: list[ValidRow], asked: Asked, outcome: Outcome, shift: float) -> list[dict[str, Any]]:
    nothing: dict[str, None] = dict.fromkeys(one.name for one in CLASSES.outputs)
    return [
        {
            "schema_version": 1,
            "request_id": asked.caller.request_id,
            "attempt": asked.caller.attempt,
            "row": index,
            "prediction_id": asked.prediction_ids[index],
            "event_time": row.event_time,
            "use_case": "tiny",
            "model_version": "1",
            "model_digest": "d",
            "rollout": asked.caller.rollout,
            "arm": asked.caller.arm,
            "unit": asked.caller.unit,
            "subject": row.subject,
            "entity": row.entity,
            "inputs": row.inputs,
            "online_features": None,
            "outputs": nothing if isinstance(outcome, Failure) else outcome[index],
            "flags": row.flags,
            "status": "failed" if isinstance(outcome, Failure) else "scored",
            "error": f"{outcome.rule}: {outcome.message}" if isinstance(outcome, Failure) else None,
            "cache_hit": False,
            "shift": shift or None,
        }
        for index, row in enumerate(some)
    ]


def lines_of(batch: list[Finished], shift: float = 0.0) -> bytes:
    async def written() -> bytes:
        now = time.monotonic()
        jobs = [(Job(some, asked, now, math.inf), outcome) for some, asked, outcome in batch]
        return Recorder(Identity("tiny", "1", "d"), CLASSES).lines(jobs, shift)

    return asyncio.run(written())


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.tuples(st.lists(finished(), max_size=3), SHIFT), min_size=1, max_size=3),
    longest=st.integers(1, 3000),
)
def test_what_an_agent_records_is_what_the_shipper_reads(
    batches: list[tuple[list[Finished], float]], longest: int
) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "LINE_BYTES", longest)
        content = b"".join(lines_of(batch, shift) for batch, shift in batches)
    table, rejected = parse_predictions(content, SCHEMA)
    assert rejected == []
    read = table.to_pylist()
    assert all(before <= one.pop("recorded_time") <= datetime.now(UTC).replace(tzinfo=None) for one in read)
    assert all(one.pop("latency_ms") >= 0 for one in read)
    assert read == [one for batch, shift in batches for job in batch for one in expected(*job, shift)]


def test_a_line_is_no_longer_than_the_shipper_reads_in_one_go_while_there_are_records_to_split() -> None:
    row = ValidRow({"at": datetime(2013, 1, 1), "chance": 0.5, "count": 1, "gap": None, "mood": "x" * 40_000}, *KEYS)
    answers: dict[str, Any] = {
        "prediction": "a",
        "probability_calm": 0.5,
        "probability_wild": 0.5,
        "amount": 1.0,
        "decision": True,
    }
    many: list[Finished] = [([row], Asked(Caller(f"r{number}"), [f"p{number}"]), [answers]) for number in range(500)]
    lines = lines_of(many).splitlines()
    assert max(map(len, lines)) <= recording.LINE_BYTES
    assert len(records_in(b"\n".join(lines))) == 500


KEYS: tuple[datetime, None, None, list[str]] = (datetime(2013, 1, 1), None, None, [])
SOUND = orjson.loads(record(1))


def changed(**changes: Any) -> bytes:
    line = {**SOUND, **changes}
    return orjson.dumps(
        {name: value for name, value in line.items() if value is not ...}, option=orjson.OPT_APPEND_NEWLINE
    )


@pytest.mark.parametrize(
    "bad",
    [
        b"garbage\n",
        b"{}\n",
        b"[]\n",
        b"\xff\xfe\n",
        changed(request_id="r-1"),
        changed(request_id=["r-1", "r-2"]),
        changed(request_id=[None]),
        changed(request_id=[]),
        changed(request_id=None),
        changed(request_id=...),
        changed(attempt=["one"]),
        changed(flags=["range:x"]),
        changed(schema_version=2),
        changed(schema_version=[1]),
        changed(recorded_time="yesterday"),
        changed(recorded_time=None),
        changed(inputs=None),
        changed(inputs={**SOUND["inputs"], "chance": []}),
        changed(inputs={**SOUND["inputs"], "chance": [0.5, 0.5]}),
        changed(inputs={**SOUND["inputs"], "chance": ["high"]}),
        changed(inputs={**SOUND["inputs"], "unknown": [1]}),
        changed(surprise=1),
        record(1)[: len(record(1)) // 2] + b"\n",
    ],
)
def test_a_line_that_holds_no_records_is_set_aside_alone(bad: bytes) -> None:
    schema = prediction_schema(CONTRACT)
    table, rejected = parse_predictions(record(7) + bad + line_of(plain(8), plain(9)), schema)
    assert rejected == [bad]
    assert table["prediction_id"].to_pylist() == ["p-7", "p-8", "p-9"]


def plain(number: int) -> dict[str, Any]:
    (one,) = records_in(record(number))
    return one
