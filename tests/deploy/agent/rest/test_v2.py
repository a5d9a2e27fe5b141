"""The Open Inference Protocol over REST: tensors in, tensors out, as JSON and as binary."""

import struct
from typing import Any

import numpy as np
import orjson
import pytest

from deploy.agent.http import Response
from tests.deploy.agent.rest.serving import serving

INFER = "/v2/models/tiny/infer"
TIMES = ["2013-01-01T05:00:00Z", "2013-01-01T06:00:00+01:00"]


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def tensors(**changes: dict[str, Any] | None) -> list[dict[str, Any]]:
    all_of = {
        "at": tensor("at", "BYTES", TIMES),
        "chance": tensor("chance", "FP64", [0.25, 0.5]),
        "count": tensor("count", "INT64", [1, 2]),
        "gap": tensor("gap", "FP64", [None, 1.5]),
        "mood": tensor("mood", "BYTES", ["calm", None]),
        "key": tensor("key", "BYTES", ["a", "b"]),
    }
    return [entry for entry in (all_of | changes).values() if entry is not None]


def outputs(response: Response) -> dict[str, Any]:
    return {entry["name"]: entry["data"] for entry in orjson.loads(response.body)["outputs"]}


async def test_metadata_name_a_tensor_for_each_column_and_output() -> None:
    async with serving() as served:
        for path in ("/v2/models/tiny", "/v2/models/tiny/versions/1"):
            metadata = orjson.loads((await served.ask(path, method="GET")).body)
        assert (await served.ask("/v2/health/live", method="GET")).status == 200
        assert (await served.ask("/v2/models/tiny/ready", method="GET")).status == 503
        extensions = orjson.loads((await served.ask("/v2", method="GET")).body)["extensions"]
    assert (metadata["name"], metadata["versions"], extensions) == ("tiny", ["1"], ["binary_tensor_data"])
    kinds = {entry["name"]: entry["datatype"] for entry in metadata["inputs"]}
    assert kinds == {"at": "BYTES", "chance": "FP64", "count": "INT64", "gap": "FP64", "mood": "BYTES", "key": "BYTES"}
    assert metadata["outputs"] == [{"name": "probability", "datatype": "FP64", "shape": [-1]}]


async def test_json_tensors_become_rows_and_outputs_become_tensors() -> None:
    async with serving() as served:
        answer = await served.ask(INFER, {"id": "r-7", "inputs": tensors()}, x_request_id="q")
    document = orjson.loads(answer.body)
    assert (answer.status, document["id"], document["model_version"]) == (200, "r-7", "1")
    expected = {"name": "probability", "datatype": "FP64", "shape": [2], "data": [0.25, 0.5]}
    assert document["outputs"] == [expected]
    first, second = served.records()
    assert first["inputs"] == {"at": "2013-01-01T05:00:00", "chance": 0.25, "count": 1, "gap": None, "mood": "calm"}
    assert second["inputs"]["at"] == "2013-01-01T05:00:00"
    assert (second["entity"], second["request_id"]) == ("b", "q")
    assert dict(answer.headers)[b"x-flywheel-prediction-id"].decode().split(",")[1] == second["prediction_id"]


async def test_a_time_may_come_as_microseconds_and_a_column_as_n_by_1() -> None:
    when = int(np.datetime64("2013-01-01T05:00:00.000001", "us").astype(np.int64))
    changes = {
        "at": tensor("at", "INT64", [when, when]),
        "count": tensor("count", "UINT8", [[1], [2]], [2, 1]),
        "chance": tensor("chance", "INT8", [0, 0]),
    }
    async with serving() as served:
        assert (await served.ask(INFER, {"inputs": tensors(**changes)})).status == 200
    inputs = served.records()[0]["inputs"]
    assert (inputs["at"], inputs["count"], inputs["chance"]) == ("2013-01-01T05:00:00.000001", 1, 0.0)


async def test_outputs_come_as_asked_for_by_name_and_ids_among_them() -> None:
    wanted = [{"name": "prediction_id"}, {"name": "probability"}]
    async with serving() as served:
        answer = await served.ask(INFER, {"inputs": tensors(), "outputs": wanted})
    ids = [record["prediction_id"] for record in served.records()]
    assert list(outputs(answer).items()) == [("prediction_id", ids), ("probability", [0.25, 0.5])]


def binary_body() -> tuple[bytes, int]:
    texts = b"".join(struct.pack("<I", len(text)) + text.encode() for text in TIMES)
    parts = [texts, np.array([0.25, 0.5], "<f4").tobytes(), np.array([1, 2], "<i2").tobytes()]
    parts.append(np.array([np.nan, 1.5], "<f8").tobytes())
    named = zip(("at", "chance", "count", "gap"), ("BYTES", "FP32", "INT16", "FP64"), parts, strict=True)
    inputs = [
        {"name": name, "datatype": kind, "shape": [2], "parameters": {"binary_data_size": len(part)}}
        for name, kind, part in named
    ]
    inputs.append(tensor("mood", "BYTES", ["calm", "wild"]))
    header = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    return header + b"".join(parts), len(header)


async def test_binary_tensors_are_read_and_written_and_nan_is_null() -> None:
    body, length = binary_body()
    async with serving() as served:
        answer = await served.ask(INFER, body, inference_header_content_length=str(length))
    assert answer.status == 200, answer.body
    size = int(dict(answer.headers)[b"inference-header-content-length"])
    (entry,) = orjson.loads(answer.body[:size])["outputs"]
    assert (entry["parameters"], np.frombuffer(answer.body[size:]).tolist()) == ({"binary_data_size": 16}, [0.25, 0.5])
    assert [record["inputs"]["gap"] for record in served.records()] == [None, 1.5]


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"count": tensor("count", "FP64", [1, 2])}, 422, "Tensor 'count' has the datatype 'FP64'. Send one of: INT8"),
        (
            {"count": tensor("count", "INT64", [1.5, 2])},
            422,
            "Row 0: Tensor 'count' has the datatype INT64 and holds 1.5",
        ),
        (
            {"chance": tensor("chance", "INT64", [1, 0.5])},
            422,
            "Row 1: Tensor 'chance' has the datatype INT64 and holds",
        ),
        ({"chance": tensor("chance", "FP16", [0.5, 70000])}, 422, "Row 1: Tensor 'chance' holds a value beyond FP16"),
        ({"chance": tensor("chance", "FP32", [1e300, 0.5])}, 422, "Row 0: Tensor 'chance' holds a value beyond FP32"),
        ({"count": tensor("count", "INT8", [1, 300])}, 422, "Row 1: Tensor 'count' holds a value beyond INT8"),
        ({"chance": tensor("chance", "INT64", [2**60, 1])}, 422, "exact range"),
        ({"count": None}, 422, "Column 'count' is missing"),
        ({"extra": tensor("extra", "BYTES", ["a", "b"])}, 422, "Column 'extra' is not known"),
        ({"mood": tensor("mood", "BYTES", ["calm"])}, 400, "must have the shape [2] or [2, 1]"),
        ({"mood": tensor("mood", "BYTES", ["calm"], [2])}, 400, "1 elements, its shape says 2"),
        ({"mood": tensor("mood", "BYTES", ["a", "b"], [2, 2])}, 400, "must have the shape"),
        ({"mood": tensor("mood", "TEXT", ["a", "b"])}, 400, "needs a 'datatype'"),
        ({"other": tensor("mood", "BYTES", ["a", "b"])}, 400, "same name"),
        ({"at": tensor("at", "INT64", [2**62, 0])}, 422, "between the years"),
    ],
)
async def test_what_is_no_tensor_of_its_column_is_refused_in_a_sentence(
    change: dict[str, Any], status: int, sentence: str
) -> None:
    async with serving() as served:
        answer = await served.ask(INFER, {"inputs": tensors(**change)})
    error = orjson.loads(answer.body)["error"]
    assert answer.status == status
    assert sentence in error
    assert served.records() == []


@pytest.mark.parametrize(
    ("body", "length", "status"),
    [
        (b"{", None, 400),
        (b"[]", None, 400),
        (b'{"inputs": []}', None, 400),
        (b'{"inputs": [1]}', None, 400),
        (b'{"inputs": [], "id": 3}', None, 400),
        (b'{"inputs": []}', "15", 400),
        (b'{"inputs": []}', "-1", 400),
        (b'{"inputs": []}x', "14", 400),
        (b"[" * 100_000, None, 400),
        (b'{"inputs": ' + b"[" * 1_100 + b"]" * 1_100 + b"}", None, 400),
    ],
)
async def test_a_body_that_is_no_request_is_refused(body: bytes, length: str | None, status: int) -> None:
    headers = {} if length is None else {"inference_header_content_length": length}
    async with serving() as served:
        assert (await served.ask(INFER, body, **headers)).status == status


async def test_another_model_version_or_method_is_refused_in_the_protocols_form() -> None:
    async with serving() as served:
        for path, method, status in (
            ("/v2/models/other/infer", "POST", 404),
            ("/v2/models/tiny/versions/2", "GET", 404),
            (INFER, "GET", 405),
        ):
            answer = await served.ask(path, method=method)
            assert (answer.status, list(orjson.loads(answer.body))) == (status, ["error"])
        answer = await served.ask(INFER, {"inputs": tensors(), "outputs": [{"name": "nothing"}]})
        assert (answer.status, "There is no output 'nothing'" in answer.body.decode()) == (400, True)
