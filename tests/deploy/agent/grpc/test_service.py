"""GRPCInferenceService in this process: what each message is answered, and that none whatever makes it fail."""

import asyncio
import contextlib
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.agent.backends.pool import Pool
from deploy.agent.dataplane import DataPlane
from deploy.agent.grpc.open_inference_pb2 import (
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ServerMetadataResponse,
)
from deploy.agent.grpc.server import code_of, serving
from deploy.agent.grpc.service import NAME, Call, InferenceService
from deploy.agent.health import Health
from deploy.agent.limits import Limits
from deploy.agent.recording import Identity
from deploy.agent.refusal import RefusalError
from deploy.agent.telemetry.metrics import Metrics
from tests.deploy.agent.rest.serving import LIMITS, score
from tests.deploy.spool_lines import records_in
from tests.deploy.tiny_contract import CONTRACT

Ask = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
NEW_YEAR = 1_356_998_400_000_000  # 2013-01-01, in microseconds since 1970


class Served:
    """A service with the lines that it recorded and what it counted."""

    def __init__(self, limits: Limits = LIMITS, scorer: Any = score) -> None:
        self.written: list[bytes] = []
        append = self.written.append
        identity = Identity("tiny", "1", "d")
        self.dataplane = DataPlane(identity, CONTRACT, score=scorer, append=append, limits=limits)
        self.health = Health(Pool([]), [])
        self.metrics = Metrics("tiny", "1")
        self.service = InferenceService(self.dataplane, self.health, limits, self.metrics)

    async def ask(self, method: str, message: bytes, **headers: str) -> Any:
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return await asyncio.wait_for(self.service.methods()[method](Call(message, given)), 10)

    async def infer(self, request: ModelInferRequest, **headers: str) -> ModelInferResponse:
        reply = await self.ask("ModelInfer", request.SerializeToString(), **headers)
        return ModelInferResponse.FromString(reply.message)

    def records(self) -> list[dict[str, Any]]:
        return records_in(b"".join(self.written))


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Served]:
    served = Served(**options)
    task = asyncio.create_task(served.dataplane.batcher.run())
    yield served
    task.cancel()


def typed(rows: int = 2) -> ModelInferRequest:
    request = ModelInferRequest(model_name="tiny", id="r-7")
    shape = [rows]
    request.inputs.add(name="at", datatype="BYTES", shape=shape).contents.bytes_contents.extend([b"2013-01-01"] * rows)
    request.inputs.add(name="chance", datatype="FP32", shape=shape).contents.fp32_contents.extend([0.25] * rows)
    request.inputs.add(name="count", datatype="INT8", shape=shape).contents.int_contents.extend([3] * rows)
    request.inputs.add(name="gap", datatype="FP64", shape=shape).contents.fp64_contents.extend([math.nan] * rows)
    request.inputs.add(name="mood", datatype="BYTES", shape=shape).contents.bytes_contents.extend([b"calm"] * rows)
    request.inputs.add(name="key", datatype="UINT64", shape=shape).contents.uint64_contents.extend([9] * rows)
    return request


def raw(rows: int = 2) -> ModelInferRequest:
    request = ModelInferRequest(model_name="tiny", model_version="1")
    text = struct.pack("<I4s", 4, b"calm")
    for name, datatype, content in [
        ("at", "INT64", struct.pack("<q", NEW_YEAR)),
        ("chance", "FP64", struct.pack("<d", 0.25)),
        ("count", "UINT16", struct.pack("<H", 3)),
        ("gap", "FP32", struct.pack("<f", math.nan)),
        ("mood", "BYTES", text),
    ]:
        request.inputs.add(name=name, datatype=datatype, shape=[rows, 1])
        request.raw_input_contents.append(content * rows)
    return request


async def test_typed_contents_are_answered_with_typed_contents() -> None:
    async with running() as served:
        response = await served.infer(typed())
    (output,) = response.outputs
    assert (response.model_name, response.model_version, response.id) == ("tiny", "1", "r-7")
    assert (output.name, output.datatype, list(output.shape)) == ("probability", "FP64", [2])
    assert list(output.contents.fp64_contents) == [0.25, 0.25]
    assert not response.raw_output_contents
    expected = {"at": "2013-01-01T00:00:00", "chance": 0.25, "count": 3, "gap": None, "mood": "calm"}
    assert [record["inputs"] for record in served.records()] == [expected] * 2
    assert [record["entity"] for record in served.records()] == ["9", "9"]


async def test_raw_contents_are_answered_with_raw_contents() -> None:
    async with running() as served:
        response = await served.infer(raw())
    assert list(response.raw_output_contents) == [struct.pack("<dd", 0.25, 0.25)]
    assert served.records()[0]["inputs"]["at"] == "2013-01-01T00:00:00"


async def test_the_caller_is_read_from_metadata_and_the_ids_come_in_trailing_metadata() -> None:
    async with running() as served:
        headers = {"x_request_id": "r-1", "x_flywheel_arm": "challenger"}
        reply = await served.ask("ModelInfer", typed().SerializeToString(), **headers)
    trailing = dict(reply.trailing)
    ids = [record["prediction_id"] for record in served.records()]
    assert trailing[b"x-flywheel-prediction-id"].decode().split(",") == ids
    assert trailing[b"x-request-id"] == b"r-1"
    assert trailing[b"x-flywheel-version"] == b"1"
    assert {record["arm"] for record in served.records()} == {"challenger"}
    assert b'arm="challenger",protocol="v2-grpc",status="200"' in served.metrics.page()


async def test_metadata_describe_server_and_model() -> None:
    async with running() as served:
        server = ServerMetadataResponse.FromString((await served.ask("ServerMetadata", b"")).message)
        asked = ModelMetadataRequest(name="tiny").SerializeToString()
        model = ModelMetadataResponse.FromString((await served.ask("ModelMetadata", asked)).message)
        ready = ModelReadyRequest(name="tiny", version="1").SerializeToString()
        cold = ModelReadyResponse.FromString((await served.ask("ModelReady", ready)).message)
    assert server.name == "flywheel"
    assert [(entry.name, entry.datatype) for entry in model.inputs][:2] == [("at", "BYTES"), ("chance", "FP64")]
    assert [entry.name for entry in model.outputs] == ["probability"]
    assert not cold.ready


def _other(**changes: Any) -> ModelInferRequest:
    request = typed()
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def _other_tensor(**changes: Any) -> ModelInferRequest:
    request = typed()
    for name, value in changes.items():
        setattr(request.inputs[1], name, value)
    return request


def _two_contents() -> ModelInferRequest:
    request = typed()
    request.inputs[1].contents.int64_contents.append(1)
    return request


def _both_ways() -> ModelInferRequest:
    request = raw()
    request.inputs[0].contents.int64_contents.append(1)
    return request


def _short_raw() -> ModelInferRequest:
    request = raw()
    del request.raw_input_contents[-1]
    return request


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (_other(model_name="other"), grpc.StatusCode.NOT_FOUND),
        (_other(model_version="2"), grpc.StatusCode.NOT_FOUND),
        (_other(id="x" * 257), grpc.StatusCode.INVALID_ARGUMENT),
        (_other_tensor(datatype="FP128"), grpc.StatusCode.INVALID_ARGUMENT),
        (_other_tensor(datatype="FP16"), grpc.StatusCode.INVALID_ARGUMENT),
        (_other_tensor(datatype="BOOL"), grpc.StatusCode.INVALID_ARGUMENT),
        (_other_tensor(name="other"), grpc.StatusCode.INVALID_ARGUMENT),
        (_two_contents(), grpc.StatusCode.INVALID_ARGUMENT),
        (_both_ways(), grpc.StatusCode.INVALID_ARGUMENT),
        (_short_raw(), grpc.StatusCode.INVALID_ARGUMENT),
        (typed(9), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (ModelInferRequest(model_name="tiny"), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_call_that_cannot_be_answered_is_refused_with_its_code(
    message: ModelInferRequest, code: grpc.StatusCode
) -> None:
    async with running() as served:
        with pytest.raises(RefusalError) as caught:
            await served.infer(message)
    assert code_of(caught.value) is code
    assert served.written == []
    assert f'status="{caught.value.status}"'.encode() in served.metrics.page()


async def test_a_fault_of_the_agent_is_one_sentence_to_the_client() -> None:
    def broken(rows: object, timeout: float) -> Any:
        raise KeyError("a secret of the inside")

    async with running(scorer=broken) as served:
        served.dataplane.predict = broken  # type: ignore[method-assign,assignment]
        with pytest.raises(RefusalError, match=r"^The agent failed unexpectedly\. Try again\.$") as caught:
            await served.infer(typed())
    assert code_of(caught.value) is grpc.StatusCode.UNAVAILABLE


async def test_over_the_wire_codes_sizes_and_health_are_what_a_client_expects() -> None:
    async with running() as served:
        door = serving("127.0.0.1:0", served.service, served.health, LIMITS)
        async with door as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            infer: Ask = channel.unary_unary(f"/{NAME}/ModelInfer")
            call = infer(typed().SerializeToString())
            assert len(ModelInferResponse.FromString(await call).outputs) == 1
            assert "x-flywheel-prediction-id" in dict(await call.trailing_metadata())
            for message, code in [
                (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
                (b"\n\x01\xff", grpc.StatusCode.INVALID_ARGUMENT),
                (bytes(LIMITS.body_bytes + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
                (b"", grpc.StatusCode.NOT_FOUND),
            ]:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await infer(message)
                assert caught.value.code() is code
            check: Ask = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert await check(b"") == b"\x08\x02"


async def test_a_callers_deadline_ends_the_wait_for_a_slow_model() -> None:
    waits: list[float] = []

    async def slow(rows: object, timeout: float) -> Any:
        waits.append(timeout)
        await asyncio.Event().wait()

    async with running(scorer=slow) as served:
        door = serving("127.0.0.1:0", served.service, served.health, Limits(deadline_seconds=0.5))
        async with door as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            infer: Ask = channel.unary_unary(f"/{NAME}/ModelInfer")
            await channel.channel_ready()  # or connecting uses up the time on a busy machine
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await infer(typed().SerializeToString(), timeout=2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0 < waits[0] < 2.1, "gRPC rounds a deadline up to its wire form; the agent's own would be longer by seconds"


NAMES = st.sampled_from(["at", "chance", "count", "gap", "mood", "key", "x", ""])
DATATYPES = st.sampled_from(["BOOL", "INT8", "INT64", "UINT64", "FP16", "FP32", "FP64", "BYTES", "FP128", ""])
SHAPE = st.sampled_from([[2], [2, 1], [1], [], [0], [-1], [2, 2], [2**62], [1, 1, 1]])
CONTENTS: dict[str, st.SearchStrategy[Any]] = {
    "bool_contents": st.booleans(),
    "int_contents": st.integers(-(2**31), 2**31 - 1),
    "int64_contents": st.integers(-(2**63), 2**63 - 1),
    "uint_contents": st.integers(0, 2**32 - 1),
    "uint64_contents": st.integers(0, 2**64 - 1),
    "fp32_contents": st.floats(width=32),
    "fp64_contents": st.floats(),
    "bytes_contents": st.binary(max_size=12) | st.just(b"2013-01-01"),
}


@st.composite
def requests(draw: st.DrawFn) -> ModelInferRequest:
    """Draw a good request with a few of its parts replaced."""
    request = draw(st.sampled_from([typed, raw]))()
    for _ in range(draw(st.integers(0, 3))):
        tensor = draw(st.sampled_from(list(request.inputs)))
        match draw(st.sampled_from(["name", "datatype", "shape", "contents", "raw", "output"])):
            case "name":
                tensor.name = draw(NAMES)
            case "datatype":
                tensor.datatype = draw(DATATYPES)
            case "shape":
                tensor.shape[:] = draw(SHAPE)
            case "contents":
                field = draw(st.sampled_from(list(CONTENTS)))
                getattr(tensor.contents, field)[:] = draw(st.lists(CONTENTS[field], max_size=3))
            case "raw":
                request.raw_input_contents.append(draw(st.binary(max_size=20)))
            case "output":
                request.outputs.add(name=draw(st.sampled_from(["probability", "x"])))
    return request


@settings(max_examples=300, deadline=None)
@given(message=requests().map(lambda request: request.SerializeToString()) | st.binary(max_size=100))
def test_no_message_whatever_makes_the_service_fail_or_hang(message: bytes) -> None:
    async def scenario() -> None:
        async with running() as served:
            with contextlib.suppress(RefusalError):
                reply = await served.ask("ModelInfer", message)
                n_rows = ModelInferResponse.FromString(reply.message).outputs[0].shape[0]
                assert n_rows == len(served.records())
                return
            assert served.written == []
            assert b'status="5' not in served.metrics.page()

    asyncio.run(scenario())
