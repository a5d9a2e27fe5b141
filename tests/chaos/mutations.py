"""Requests that are almost right: one sound request of each form, and seeded ways to break it.

Bytes are flipped, cut, doubled and joined with bytes of other requests; in JSON also single values are replaced, so
that damage reaches what lies behind the parser.
"""

import json
import math
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf.message import DecodeError

from deploy.agent.grpc import open_inference_pb2 as wire

ROWS: list[dict[str, Any]] = [
    {"at": "2013-01-01T05:00:00Z", "chance": 0.25, "count": 3, "gap": None, "mood": "calm", "key": "a"},
    {"at": "2013-01-01 05:00:00+02:00", "chance": 1, "count": -7, "gap": -1.5e-300, "mood": "wïld", "key": 9},
]
TYPES = {"at": "BYTES", "chance": "FP64", "count": "INT64", "gap": "FP64", "mood": "BYTES", "key": "BYTES"}
LENGTH = "inference-header-content-length"
VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**63), 2**64, 2**70, 1e308, -1e-320, float("nan"), float("inf"),
    "", "0", "\x00", "\u202e", "𝕏" * 50, "x" * 5000, "1678-01-01", "2261-12-31T23:59:59.999999Z", "0001-01-01",
    "9999-12-31T23:59:59-23:59", "2013-02-30", [], {}, [[]], [None], {"a": 1}, [1, 2, 3],
]  # fmt: skip
TOKENS = [
    b"\x00", b"\xff", b"\xed\xa0\x80", b"NaN", b"Infinity", b"1e999", b"-0", b'"', b"'", b",", b"\r\n", b"\n\n", b"{",
    b"[" * 2000, b'{"a":' * 1500, b"9" * 400, b"\\ud800", b"\xef\xbb\xbf", b"null", b";", b"\x7f\xff\xff\xff\xff\xff",
]  # fmt: skip
HEADERS: list[tuple[str, str]] = [
    ("content-type", "text/plain"), ("content-type", "application/json; charset=utf-16"), ("content-type", "text/csv"),
    ("content-type", ";"), (LENGTH, "0"), (LENGTH, "99999999999999999999"), (LENGTH, "-5"), (LENGTH, "1e3"),
    (LENGTH, "17"), ("x-request-id", "x" * 300), ("x-request-id", "é"), ("x-envoy-attempt-count", "0"),
    ("x-envoy-attempt-count", "9" * 30), ("x-envoy-expected-rq-timeout-ms", "x"), ("accept", "text/html"),
    ("x-flywheel-arm", "nobody"),
]  # fmt: skip


@dataclass(frozen=True)
class Sound:
    """One request as it should be; with `method` it is a gRPC message."""

    kind: str
    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)


def sound_requests() -> list[Sound]:
    """Return a request of each form of each protocol."""
    columns = list(ROWS[0])
    by_column = {name: [row[name] for row in ROWS] for name in columns}
    forms: dict[str, Any] = {
        "dataframe_split": {"columns": columns, "data": [list(row.values()) for row in ROWS]},
        "dataframe_records": ROWS,
        "instances": ROWS,
        "inputs": by_column,
    }
    csv = "\n".join(
        [",".join(columns), '2013-01-01T05:00:00Z,0.25,3,,"calm, or ""so""",a', "2013-01-02,1,2,1.5,wïld,b"]
    )
    outcome = {
        "prediction_id": "01a21b9d-9612-74d3-9098-f48206884f12",
        "outcome": 1,
        "event_time": "2013-01-01T05:00:00Z",
        "source": "fuzz",
    }
    return [
        *(Sound("json", "/invocations", orjson.dumps({name: form})) for name, form in forms.items()),
        Sound("csv", "/invocations", csv.encode(), (("content-type", "text/csv"),)),
        Sound("v2", "/v2/models/tiny/infer", _v2_json(by_column)),
        _v2_binary(),
        Sound("grpc", "", _grpc(raw=False)),
        Sound("grpc", "", _grpc(raw=True)),
        Sound("feedback", "/feedback", orjson.dumps({"outcomes": [outcome]})),
    ]


def _v2_json(by_column: dict[str, list[Any]]) -> bytes:
    by_column = by_column | {"key": ["a", "b"]}
    inputs = [{"name": name, "datatype": TYPES[name], "shape": [2], "data": data} for name, data in by_column.items()]
    return orjson.dumps({"id": "f", "inputs": inputs, "outputs": [{"name": "probability"}]})


def _raw(name: str) -> bytes:
    if TYPES[name] == "BYTES":
        texts = [str(row[name]).encode() for row in ROWS]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    code = "<q" if TYPES[name] == "INT64" else "<d"
    return b"".join(struct.pack(code, 0 if row[name] is None else row[name]) for row in ROWS)


def _v2_binary() -> Sound:
    data = {name: _raw(name) for name in TYPES}
    inputs = [
        {"name": name, "datatype": TYPES[name], "shape": [2], "parameters": {"binary_data_size": len(part)}}
        for name, part in data.items()
    ]
    header = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = (("content-type", "application/octet-stream"), (LENGTH, str(len(header))))
    return Sound("v2-binary", "/v2/models/tiny/infer", header + b"".join(data.values()), headers)


def _grpc(*, raw: bool) -> bytes:
    request = wire.ModelInferRequest(model_name="tiny", id="f")
    for name, datatype in TYPES.items():
        entry = request.inputs.add(name=name, datatype=datatype, shape=[2])
        values = [row[name] for row in ROWS]
        if raw:
            request.raw_input_contents.append(_raw(name))
        elif datatype == "BYTES":
            entry.contents.bytes_contents.extend(str(value).encode() for value in values)
        elif datatype == "INT64":
            entry.contents.int64_contents.extend(values)
        else:
            entry.contents.fp64_contents.extend(value or 0.0 for value in values)
    return request.SerializeToString()


Change = Callable[[random.Random, bytes, Sequence[Sound]], bytes]


def mutate(chance: random.Random, sound: Sound, corpus: Sequence[Sound]) -> Sound:
    """Return a request that is broken in one to four ways; one in ten is left as it is."""
    body, headers = sound.body, sound.headers
    if chance.random() < 0.1:
        return sound
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if sound.kind != "grpc" and chance.random() < 0.1:
            headers = (*(pair for pair in headers if chance.random() < 0.8), chance.choice(HEADERS))
        elif sound.kind in ("json", "v2", "feedback") and chance.random() < 0.6:
            body = _replace_value(chance, body)
        elif sound.kind == "grpc" and chance.random() < 0.6:
            body = _replace_field(chance, body)
        else:
            body = chance.choice(CHANGES)(chance, body, corpus)
    return Sound(sound.kind, sound.path, body, headers)


def _replace_value(chance: random.Random, body: bytes) -> bytes:
    """Replace, remove or double one value of a document, as deep as it goes."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    parents: list[tuple[Any, Any]] = []
    _walk(document, parents)
    if not parents:
        return body
    # Values themselves twice as often as what holds them: damage to the frame is refused before they are looked at.
    leaves = [(parent, key) for parent, key in parents if not isinstance(parent[key], list | dict)]
    parent, key = chance.choice(leaves if leaves and chance.random() < 0.67 else parents)
    match chance.randrange(4):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, list):
            parent.append(parent[key])
        case 2 if isinstance(parent, dict):
            parent[chance.choice(["", "at", "params", "x" * 300, "data", "\x00"])] = parent.pop(key)
        case _:
            parent[key] = chance.choice(VALUES)
    return json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def _replace_field(chance: random.Random, body: bytes) -> bytes:
    """Change one thing that a ModelInfer message says of one of its tensors."""
    try:
        request = wire.ModelInferRequest.FromString(body)
    except DecodeError:
        return body
    if not request.inputs:
        return body
    index = chance.randrange(len(request.inputs))
    entry, contents = request.inputs[index], request.inputs[index].contents
    match chance.randrange(7):
        case 0:
            entry.datatype = chance.choice(
                ["FP64", "FP32", "FP16", "INT64", "INT8", "UINT64", "BOOL", "BYTES", "", "X"]
            )
        case 1:
            entry.shape[:] = chance.choice([[], [2, 1], [1, 2], [3], [-2], [2**62], [0], [2] * 9])
        case 2:
            entry.name = chance.choice(["at", "gap", "other", "", "\x00"])
        case 3:
            del request.inputs[index]
        case 4 if contents.bytes_contents:
            contents.bytes_contents[0] = chance.choice([b"", b"\xff", b"\x00", b"2262-01-01", b"x" * 5000])
        case 5 if contents.fp64_contents:
            contents.fp64_contents[0] = chance.choice([math.nan, math.inf, -1e300, 0.5, 1.0000001])
        case _ if len(request.raw_input_contents) > index:
            request.raw_input_contents[index] = chance.choice(CHANGES)(chance, request.raw_input_contents[index], ())
        case _:
            contents.int64_contents.extend(chance.choice([[], [1], [2**62, -(2**63)]]))
    return request.SerializeToString()


def _walk(node: Any, parents: list[tuple[Any, Any]]) -> None:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
    for key in keys:
        parents.append((node, key))
        _walk(node[key], parents)


def _flip(chance: random.Random, body: bytes, corpus: Sequence[Sound]) -> bytes:
    changed = bytearray(body or b"\x00")
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(chance: random.Random, body: bytes, corpus: Sequence[Sound]) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] if chance.random() < 0.5 else body[:at] + body[at + chance.randrange(1, 9) :]


def _insert(chance: random.Random, body: bytes, corpus: Sequence[Sound]) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] + chance.choice(TOKENS) + body[at:]


def _double(chance: random.Random, body: bytes, corpus: Sequence[Sound]) -> bytes:
    start = chance.randrange(len(body) + 1)
    end = chance.randrange(start, len(body) + 1)
    return body[:end] + body[start:end] + body[end:]


def _join(chance: random.Random, body: bytes, corpus: Sequence[Sound]) -> bytes:
    other = chance.choice(corpus).body if corpus else body
    return body[: chance.randrange(len(body) + 1)] + other[chance.randrange(len(other) + 1) :]


CHANGES: tuple[Change, ...] = (_flip, _flip, _cut, _insert, _double, _join)
