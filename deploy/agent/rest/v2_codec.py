"""The Open Inference Protocol's JSON, with its binary tensor extension, to and from tensors.

With the header `Inference-Header-Content-Length: H` the first H bytes are JSON and the tensors' data follow, in order
of those inputs that say `"parameters": {"binary_data_size": S}`: little-endian, row-major; BYTES as a 4-byte length
before each element, BOOL as one byte.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from deploy.agent.json_body import read_json
from deploy.agent.refusal import RefusalError
from deploy.agent.tensors import DATATYPES, Tensor, shown

# struct and not numpy, whose import costs an agent without ONNX 16 MB.
CODES = {
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
ID_LENGTH = 256
LENGTH_BYTES = 4
NOTHING: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that a request asks for, and whether as binary."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a request says. `outputs` is None where it asks for all; `binary` is how those come."""

    id: str | None
    tensors: list[Tensor]
    outputs: list[Wanted] | None
    binary: bool


def read_request(body: bytes, header_length: bytes | None) -> InferRequest:
    """Read an infer request.

    Raises:
        RefusalError: It is no JSON, or not of the protocol's form.
    """
    header, data = _split(body, header_length)
    document = read_json(header)
    if type(document) is not dict or type(inputs := document.get("inputs")) is not list:
        raise RefusalError("form", "The body must be a JSON object with 'inputs', a list of tensors.")
    request_id = document.get("id")
    if request_id is not None and (type(request_id) is not str or len(request_id) > ID_LENGTH):
        raise RefusalError("form", f"'id' must be a string of at most {ID_LENGTH} characters.")
    binary = _parameters(document).get("binary_data_output") is True
    tensors, rest = [], memoryview(data)
    for entry in inputs:
        tensor, rest = _tensor(entry, rest)
        tensors.append(tensor)
    if len(rest):
        raise RefusalError("form", f"{len(rest)} bytes follow the last binary tensor. Correct the sizes.")
    return InferRequest(request_id, tensors, _outputs(document.get("outputs"), binary), binary)


def _split(body: bytes, header_length: bytes | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isdigit() or len(header_length) > 12 or int(header_length) > len(body):
        wish = "must be the length of the JSON in bytes, at most the body's"
        raise RefusalError("form", f"Inference-Header-Content-Length {wish}.")
    length = int(header_length)
    return body[:length], body[length:]


def _tensor(entry: Any, rest: memoryview) -> tuple[Tensor, memoryview]:
    if type(entry) is not dict or type(name := entry.get("name")) is not str:
        raise RefusalError("form", "Each input must be an object with a 'name'.")
    datatype, shape = entry.get("datatype"), entry.get("shape")
    if type(datatype) is not str or datatype not in DATATYPES:
        raise RefusalError("form", f"Tensor {shown(name)} needs a 'datatype': one of {', '.join(DATATYPES)}.")
    if type(shape) is not list or not 1 <= len(shape) <= 2 or {*map(type, shape)} != {int}:
        raise RefusalError("form", f"Tensor {shown(name)} needs a 'shape' [N] or [N, 1].")
    size = _parameters(entry, name).get("binary_data_size")
    if size is None:
        return Tensor(name, datatype, shape, _flat(name, entry.get("data"))), rest
    if type(size) is not int or not 0 <= size <= len(rest) or "data" in entry:
        what = "must be the bytes of its data, which follow the JSON, and stand without 'data'"
        raise RefusalError("form", f"The binary_data_size of tensor {shown(name)} {what}.")
    return Tensor(name, datatype, shape, raw_values(name, datatype, rest[:size])), rest[size:]


def _parameters(entry: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    parameters = entry.get("parameters")
    if parameters is None:
        return NOTHING
    if type(parameters) is not dict:
        what = "The request" if name is None else f"Tensor {shown(name)}"
        raise RefusalError("form", f"{what} has 'parameters' that are no object.")
    return parameters


def _flat(name: str, data: Any) -> list[Any]:
    if type(data) is not list:
        raise RefusalError("form", f"Tensor {shown(name)} needs 'data', a list.")
    if data and type(data[0]) is list:
        if not all(type(part) is list and len(part) == 1 for part in data):
            raise RefusalError("form", f"Tensor {shown(name)} has nested 'data' that is not of the shape [N, 1].")
        return [part[0] for part in data]
    return data


def _outputs(entries: Any, binary: bool) -> list[Wanted] | None:
    if entries is None or entries == []:
        return None
    if type(entries) is not list:
        raise RefusalError("form", "'outputs' must be a list of objects with a 'name'.")
    wanted = []
    for entry in entries:
        if type(entry) is not dict or type(name := entry.get("name")) is not str:
            raise RefusalError("form", "'outputs' must be a list of objects with a 'name'.")
        own = _parameters(entry, name).get("binary_data")
        wanted.append(Wanted(name, own if type(own) is bool else binary))
    return wanted


def raw_values(name: str, datatype: str, data: memoryview | bytes) -> list[Any]:
    """Return the elements of raw tensor data.

    Raises:
        RefusalError: The bytes are no whole number of elements, or text is no UTF-8.
    """
    if datatype == "BYTES":
        return _texts(name, bytes(data))
    if datatype == "BOOL":
        if any(value > 1 for value in data):
            raise RefusalError("form", f"Tensor {shown(name)} is BOOL, so each of its bytes must be 0 or 1.")
        return [value == 1 for value in data]
    code = CODES[datatype]
    size = struct.calcsize(f"<{code}")
    if len(data) % size:
        raise RefusalError("form", f"Tensor {shown(name)} needs {size} bytes an element. Correct its size.")
    return list(struct.unpack(f"<{len(data) // size}{code}", data))


def _texts(name: str, data: bytes) -> list[Any]:
    values, at = [], 0
    while at < len(data):
        start = at + LENGTH_BYTES
        end = start + int.from_bytes(data[at:start], "little")
        if start > len(data) or end > len(data):
            raise RefusalError("form", f"Tensor {shown(name)} ends within an element. Correct its lengths.")
        values.append(text_of(name, data[start:end]))
        at = end
    return values


def text_of(name: str, data: bytes) -> str:
    """Return an element of BYTES as the text it must be.

    Raises:
        RefusalError: It is no UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as fault:
        raise RefusalError("type", f"Tensor {shown(name)} holds text that is not UTF-8. Encode it so.") from fault


def raw_bytes(tensor: Tensor) -> bytes:
    """Return a tensor's elements as raw tensor data."""
    if tensor.datatype == "BYTES":
        texts = [value.encode() for value in tensor.values]
        return b"".join(len(text).to_bytes(LENGTH_BYTES, "little") + text for text in texts)
    if tensor.datatype == "BOOL":
        return bytes(tensor.values)
    return struct.pack(f"<{len(tensor.values)}{CODES[tensor.datatype]}", *tensor.values)


def write_answer(document: dict[str, Any], tensors: Sequence[tuple[Tensor, bool]]) -> tuple[bytes, int | None]:
    """Return the body, and the length of its JSON where binary data follow it.

    Args:
        document: Name, version and id of the answer; `outputs` are added.
        tensors: Each with whether it is wanted as binary.
    """
    entries, parts = [], []
    for tensor, binary in tensors:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if binary:
            parts.append(raw_bytes(tensor))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = tensor.values
        entries.append(entry)
    header = orjson.dumps(document | {"outputs": entries})
    return (header + b"".join(parts), len(header)) if parts else (header, None)
