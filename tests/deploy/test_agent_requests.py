"""What a request may be: parsing and HTTP in process, with a function in place of the scorer."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.agent.backends.pool import Pool
from deploy.agent.backends.worker import Worker
from deploy.agent.caller import read_caller
from deploy.agent.dataplane import DataPlane
from deploy.agent.health import Health
from deploy.agent.http import Request
from deploy.agent.limits import Limits
from deploy.agent.outputs import Outputs
from deploy.agent.package import read_served
from deploy.agent.recording import Identity
from deploy.agent.refusal import RefusalError
from deploy.agent.rest.app import Paths
from deploy.agent.rest.forms import parse_rows
from deploy.agent.telemetry.metrics import Metrics
from flywheel.contract import ValidRow
from flywheel.errors import IntegrityError
from flywheel.records import prediction_schema
from tests.deploy.conftest import row
from tests.deploy.spool_lines import records_in
from tests.deploy.tiny_contract import CONTRACT

LIMITS = Limits(body_bytes=20_000, request_rows=8)

SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JSON = SCALAR | st.lists(SCALAR, max_size=3) | st.dictionaries(st.sampled_from(["at", "x"]), SCALAR, max_size=2)
ROW = st.builds(lambda changes: row(**changes), st.dictionaries(st.sampled_from([*row(), "x"]), JSON, max_size=2))
EXACT = st.none() | st.booleans() | st.text(max_size=3) | st.lists(st.integers(0, 9), max_size=3)
SPLIT = st.fixed_dictionaries({"columns": st.just(list(row())) | JSON, "data": st.lists(JSON, max_size=3) | JSON})
FORM = st.sampled_from(["dataframe_split", "dataframe_records", "inputs", "instances", "params"])
REQUEST = st.dictionaries(FORM, JSON | SPLIT | st.lists(ROW, max_size=9), min_size=1, max_size=2)
# Python's own writer, because it also writes what JSON does not allow: NaN, and integers of any size.
BODY = st.binary(max_size=100) | REQUEST.map(lambda value: json.dumps(value).encode()) | st.just(b"[" * 9_000)


async def score(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
    return [{"probability": 0.5} for _ in rows]


@asynccontextmanager
async def serving(limits: Limits = LIMITS) -> AsyncIterator[tuple[Paths, list[bytes]]]:
    written: list[bytes] = []
    dataplane = DataPlane(Identity("tiny", "1", "d"), CONTRACT, score=score, append=written.append, limits=limits)
    async with Worker("http://127.0.0.1:1", CONTRACT) as scorer:
        task = asyncio.create_task(dataplane.batcher.run())
        yield Paths(dataplane, Health(Pool([scorer]), []), limits), written
        task.cancel()


async def call(app: Paths, body: bytes, headers: dict[bytes, bytes] | None = None) -> tuple[int, Any]:
    response = await asyncio.wait_for(app.handle(Request("POST", "/invocations", headers or {}, body)), 10)
    return response.status, orjson.loads(response.body)


@settings(max_examples=200, deadline=None)
@given(body=BODY)
def test_no_body_whatever_makes_the_agent_fail_or_hang(body: bytes) -> None:
    async def scenario() -> None:
        async with serving() as (app, written):
            status, answer = await call(app, body)
        assert status in (200, 400, 413, 422), answer
        if status == 200:
            assert len(answer["predictions"]) == len(records_in(b"".join(written)))
        else:
            assert set(answer["error"]) == {"field", "rule", "message", "row"}
            assert written == []

    asyncio.run(scenario())


@settings(deadline=None)
@given(
    headers=st.dictionaries(
        st.sampled_from([b"x-request-id", b"x-envoy-attempt-count", b"x-flywheel-arm"]), st.binary(max_size=300)
    )
)
def test_no_header_whatever_makes_an_unusable_caller(headers: dict[bytes, bytes]) -> None:
    caller = read_caller(headers)
    assert 1 <= caller.attempt <= 32_767
    assert 0 < len(caller.request_id) <= 256
    assert caller.arm is None or caller.arm.isprintable()


@settings(deadline=None)
@given(rows=st.lists(st.fixed_dictionaries({"a": EXACT, "b": EXACT}), min_size=1, max_size=8))
def test_every_form_of_the_same_rows_reads_as_the_same_rows(rows: list[dict[str, Any]]) -> None:
    forms: list[dict[str, Any]] = [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[one["a"], one["b"]] for one in rows]}},
        {"dataframe_records": rows},
        {"inputs": rows},
        {"inputs": {"a": [one["a"] for one in rows], "b": [one["b"] for one in rows]}},
        {"instances": rows},
    ]
    assert [parse_rows(orjson.dumps(form), 8) for form in forms] == [rows] * len(forms)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "json"),
        (b'{"instances": [{"a": NaN}]}', "json"),
        (b"[]", "form"),
        (b'{"instances": []}', "form"),
        (b'{"instances": [1]}', "form"),
        (b'{"instances": [{}], "params": {}}', "form"),
        (b'{"inputs": {"a": [1], "b": [1, 2]}}', "form"),
        (b'{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}', "form"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', "form"),
        (b'{"instances": [{}, {}, {}]}', "size"),
    ],
)
def test_a_body_that_is_no_request_is_refused_by_rule(body: bytes, rule: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_rows(body, max_rows=2)
    assert caught.value.rule == rule


async def test_what_is_neither_json_nor_csv_by_its_own_word_is_refused() -> None:
    async with serving() as (app, _):
        for media_type in (b"text/plain", b"application/xml", b"text/csv; charset=latin-1", b""):
            assert (await call(app, b"a,b", headers={b"content-type": media_type}))[0] == 415
        assert (await call(app, b"{}", headers={b"content-encoding": b"gzip"}))[0] == 415
        fine = {b"content-type": b"application/json; charset=utf-8"}
        assert (await call(app, orjson.dumps({"instances": [row()]}), headers=fine))[0] == 200


async def test_without_room_for_the_record_there_is_no_answer() -> None:
    def full(lines: bytes) -> None:
        raise OSError(28, "No space left on device")

    dataplane = DataPlane(Identity("tiny", "1", "d"), CONTRACT, score=score, append=full, limits=LIMITS)
    async with Worker("http://127.0.0.1:1", CONTRACT) as scorer:
        task = asyncio.create_task(dataplane.batcher.run())
        app = Paths(dataplane, Health(Pool([scorer]), []), LIMITS)
        status, answer = await call(app, orjson.dumps({"instances": [row()]}))
        task.cancel()
    assert (status, answer["error"]["rule"]) == (503, "log")


async def test_where_the_settings_say_so_an_answer_is_given_without_a_record_and_counted() -> None:
    metrics = Metrics("tiny", "1")

    def full(lines: bytes) -> None:
        raise OSError(28, "No space left on device")

    limits = replace(LIMITS, unlogged=True)
    dataplane = DataPlane(
        Identity("tiny", "1", "d"), CONTRACT, score=score, append=full, limits=limits, metrics=metrics
    )
    async with Worker("http://127.0.0.1:1", CONTRACT) as scorer:
        task = asyncio.create_task(dataplane.batcher.run())
        app = Paths(dataplane, Health(Pool([scorer]), []), limits)
        status, answer = await call(app, orjson.dumps({"instances": [row(), row()]}))
        task.cancel()
    assert (status, len(answer["predictions"])) == (200, 2)
    assert b'flywheel_unlogged_answers_total{use_case="tiny",version="1"} 2.0' in metrics.page()


async def test_unknown_fields_are_refused_or_ignored_as_the_settings_say() -> None:
    body = orjson.dumps({"instances": [row(surprise=1)]})
    async with serving() as (app, _):
        status, answer = await call(app, body)
        assert (status, answer["error"]["rule"], answer["error"]["field"]) == (422, "unknown", "surprise")
    async with serving(replace(LIMITS, ignore_unknown=True)) as (app, written):
        assert (await call(app, body))[0] == 200
        assert "surprise" not in orjson.loads(written[0])["inputs"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({b"x-flywheel-deadline-ms": b"250"}, 0.25),
        ({b"x-envoy-expected-rq-timeout-ms": b"100", b"x-flywheel-deadline-ms": b"250"}, 0.1),
        ({b"x-flywheel-deadline-ms": b"soon"}, None),
        ({b"x-flywheel-deadline-ms": b"0"}, 0.001),
    ],
)
def test_a_caller_waits_no_longer_than_anybody_says(headers: dict[bytes, bytes], seconds: float | None) -> None:
    assert read_caller(headers).patience == seconds


async def test_a_line_has_exactly_the_fields_of_the_schema_that_there_are() -> None:
    async with serving() as (app, written):
        await call(app, orjson.dumps({"instances": [row()]}))
    later = {"online_features", "shift"}  # what is not said is null
    assert set(orjson.loads(written[0])) | later == set(prediction_schema(CONTRACT).names)


def test_an_example_with_mlflows_nan_reads_as_null(tmp_path: Path) -> None:
    inside = tmp_path / "artifacts" / "package"
    inside.mkdir(parents=True)
    (inside / "contract.json").write_text(CONTRACT.model_dump_json())
    columns = [column.name for column in CONTRACT.columns]
    data = [["2013-01-01T05:00:00", 0.5, 1, math.nan, "calm"]]
    example = tmp_path / "serving_input_example.json"
    example.write_text(json.dumps({"dataframe_split": {"columns": columns, "data": data}}))
    served = read_served(tmp_path)
    assert served.contract.validate_row(served.example[0]).inputs["gap"] is None
    example.write_text("{")
    with pytest.raises(IntegrityError, match="is no request"):
        read_served(tmp_path)
