"""ModelInfer's messages to and from tensors, with typed contents and with raw ones."""

from collections.abc import Sequence

from deploy.agent.grpc.open_inference_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse
from deploy.agent.refusal import RefusalError
from deploy.agent.rest.v2_codec import ID_LENGTH, raw_bytes, raw_values, text_of
from deploy.agent.tensors import DATATYPES, Tensor, shown

# The field of typed contents that holds a datatype's elements; FP16 has none and comes raw.
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def read_tensors(request: ModelInferRequest) -> list[Tensor]:
    """Return the input tensors of a request.

    Raises:
        RefusalError: A datatype is not known, or contents do not fit it.
    """
    if len(request.id) > ID_LENGTH:
        raise RefusalError("form", f"'id' must have at most {ID_LENGTH} characters.")
    raw = request.raw_input_contents
    if not raw:
        return [_typed(entry) for entry in request.inputs]
    if len(raw) != len(request.inputs):
        wish = "Send one for each input, or none"
        raise RefusalError("form", f"There are {len(raw)} raw contents for {len(request.inputs)} inputs. {wish}.")
    return [_raw(entry, content) for entry, content in zip(request.inputs, raw, strict=True)]


def write_tensors(response: ModelInferResponse, tensors: Sequence[Tensor], *, raw: bool) -> None:
    """Add output tensors to an answer, raw or with typed contents: as the request's own were."""
    for tensor in tensors:
        entry = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            response.raw_output_contents.append(raw_bytes(tensor))
        else:
            values = [value.encode() for value in tensor.values] if tensor.datatype == "BYTES" else tensor.values
            getattr(entry.contents, CONTENTS[tensor.datatype]).extend(values)


def _typed(entry: ModelInferRequest.InferInputTensor) -> Tensor:
    _check_datatype(entry)
    field = CONTENTS.get(entry.datatype)
    filled = [given.name for given, _ in entry.contents.ListFields()]
    if field is None or filled not in ([], [field]):
        wish = f"Send them as {field or 'raw contents'}"
        raise RefusalError("form", f"Tensor {shown(entry.name)} is {entry.datatype}, not so its contents. {wish}.")
    return Tensor(entry.name, entry.datatype, list(entry.shape), _values(entry, field))


def _values(entry: ModelInferRequest.InferInputTensor, field: str) -> list[object]:
    contents: InferTensorContents = entry.contents
    if field == "bytes_contents":
        return [text_of(entry.name, element) for element in contents.bytes_contents]
    return list(getattr(contents, field))


def _raw(entry: ModelInferRequest.InferInputTensor, content: bytes) -> Tensor:
    _check_datatype(entry)
    if entry.HasField("contents"):
        raise RefusalError("form", f"Tensor {shown(entry.name)} has contents both typed and raw. Send one of them.")
    values = raw_values(entry.name, entry.datatype, content)
    return Tensor(entry.name, entry.datatype, list(entry.shape), values)


def _check_datatype(entry: ModelInferRequest.InferInputTensor) -> None:
    if entry.datatype not in DATATYPES:
        wish = f"one of {', '.join(DATATYPES)}"
        raise RefusalError("form", f"Tensor {shown(entry.name)} needs a datatype: {wish}.")
