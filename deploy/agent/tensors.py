"""Tensors of the Open Inference Protocol (V2) and rows of the contract: one tensor a column, by whatever wire.

    long       INT8 … INT64, UINT8 … UINT64 (a value beyond 64 signed bits is refused)
    double     FP64; FP32, which widens exactly; integers up to 2^53, which are exact
    string     BYTES, UTF-8
    boolean    BOOL
    datetime   BYTES, ISO 8601, as in JSON; or INT64: microseconds since 1970, UTC, which is numpy's datetime64[us] and
               the resolution of the records, so neither form loses anything
    keys       entity and subject: BYTES or an integer type

The shape is [N] or [N, 1]. Null is JSON's null, and NaN of a floating type where the column may be null. There is no
tensor of all columns at once: each contract has an event time, which a numeric tensor carries by convention only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from deploy.agent.dataplane import Row
from deploy.agent.refusal import RefusalError
from flywheel.column_rules import EPOCH
from flywheel.contract import Column, Contract

# Least and largest value of each integer type.
INTEGERS = {
    f"{sign}INT{bits}": _range
    for bits in (8, 16, 32, 64)
    for sign, _range in (
        ("", (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)),
        ("U", (0, 2**bits - 1)),
    )
}
FLOATS = ("FP16", "FP32", "FP64")
# In the order in which messages list them; found by hash.
DATATYPES = dict.fromkeys((*INTEGERS, *FLOATS, "BOOL", "BYTES"))
EXACT = 2**53
ACCEPTED: dict[str, frozenset[str]] = {
    "long": frozenset(INTEGERS),
    "double": frozenset((*FLOATS, *INTEGERS)),
    "string": frozenset({"BYTES"}),
    "boolean": frozenset({"BOOL"}),
    "datetime": frozenset({"BYTES", "INT64"}),
    "key": frozenset(("BYTES", *INTEGERS)),
}
LARGEST = {"FP16": 65_504.0, "FP32": 3.4028234663852886e38}
# What the metadata says of a column; the others are accepted as well.
DATATYPE_OF = {"long": "INT64", "double": "FP64", "string": "BYTES", "boolean": "BOOL", "datetime": "BYTES"}
NAME_LENGTH = 256


@dataclass(slots=True)  # not frozen, which costs a request of twenty columns 15 µs
class Tensor:
    """A named tensor with its elements in order, as Python values. Nobody changes one."""

    name: str
    datatype: str
    shape: Sequence[int]
    values: list[Any]


class TensorReader:
    """Reads the tensors of a request into rows.

    Args:
        contract: Whose columns the tensors are.
        max_rows: N, at most.
    """

    def __init__(self, contract: Contract, max_rows: int) -> None:
        self._columns = {column.name: column for column in contract.columns}
        self._keys = {key for key in (contract.entity, contract.subject) if key is not None}
        self._max_rows = max_rows

    def rows(self, tensors: Sequence[Tensor]) -> list[Row]:
        """Return the rows (n_rows), at least one. Whether they keep the contract is the data plane's question.

        Raises:
            RefusalError: The tensors are no columns of one length, or one has a type that its column does not take.
        """
        if not tensors:
            raise RefusalError("form", "'inputs' holds no tensor. Send one for each column.")
        names = [tensor.name for tensor in tensors]
        if len(set(names)) != len(names):
            raise RefusalError("form", "Two input tensors have the same name. Send one for each column.")
        length = self._length(tensors[0])
        columns = [self._values(tensor, length) for tensor in tensors]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def _length(self, first: Tensor) -> int:
        length = first.shape[0] if first.shape else 0
        if length < 1:
            raise RefusalError("form", f"Tensor {shown(first.name)} must have the shape [N] or [N, 1], N from 1.")
        if length > self._max_rows:
            raise RefusalError("size", f"The request has {length} rows, more than {self._max_rows}. Split it.")
        return length

    def _values(self, tensor: Tensor, length: int) -> list[Any]:
        if list(tensor.shape) not in ([length], [length, 1]):
            wish = f"[{length}] or [{length}, 1], as the first has"
            raise RefusalError("form", f"Tensor {shown(tensor.name)} must have the shape {wish}. Correct it.")
        if len(tensor.values) != length:
            found = f"{len(tensor.values)} elements, its shape says {length}"
            raise RefusalError("form", f"Tensor {shown(tensor.name)} has {found}. Correct it.")
        column = self._columns.get(tensor.name)
        kind = "key" if tensor.name in self._keys else None if column is None else column.type
        if kind is not None and tensor.datatype not in ACCEPTED[kind]:
            wish = ", ".join(name for name in DATATYPES if name in ACCEPTED[kind])
            what = f"Tensor {shown(tensor.name)} has the datatype {shown(tensor.datatype)}. Send one of: {wish}."
            raise RefusalError("type", what, field=tensor.name)
        return tensor.values if column is None else _as_column(column, tensor)


def shown(name: str) -> str:
    """Return a client's word as a message may show it: printable and not long."""
    short = name[:NAME_LENGTH]
    return f"'{short}'" if short.isprintable() else repr(short)


def _as_column(column: Column, tensor: Tensor) -> list[Any]:
    values = tensor.values
    if tensor.datatype in FLOATS:
        _check_floats(tensor)
        # A tensor has no null of its own: the format's NaN stands for it where null is a value of the column.
        return (
            [None if type(value) is float and math.isnan(value) else value for value in values]
            if (column.nullable)
            else values
        )
    if tensor.datatype in INTEGERS:
        _check_integers(column, tensor)
        if column.type == "datetime":
            return [_moment(column, value) for value in values]
    return values


def _check_floats(tensor: Tensor) -> None:
    largest = LARGEST.get(tensor.datatype)
    if largest is None:
        return
    for index, value in enumerate(tensor.values):
        if type(value) in (int, float) and math.isfinite(value) and abs(value) > largest:
            what = f"Tensor {shown(tensor.name)} holds a value beyond {tensor.datatype}'s range"
            raise RefusalError("range", f"{what}, {largest:g}. Correct it, or send FP64.", field=tensor.name, row=index)


def _check_integers(column: Column, tensor: Tensor) -> None:
    least, largest = INTEGERS[tensor.datatype]
    if column.type == "double":
        least, largest = max(least, -EXACT), min(largest, EXACT)
    for index, value in enumerate(tensor.values):
        if type(value) is float:
            what = f"Tensor {shown(tensor.name)} has the datatype {tensor.datatype} and holds {value}"
            raise RefusalError("type", f"{what}. Send whole numbers, or FP64.", field=tensor.name, row=index)
        if type(value) is int and not least <= value <= largest:
            what = f"Tensor {shown(tensor.name)} holds a value beyond {tensor.datatype}'s exact range"
            raise RefusalError("range", f"{what} {least} to {largest}. Correct it.", field=tensor.name, row=index)


def _moment(column: Column, value: Any) -> Any:
    if type(value) is not int:
        return value
    try:
        return (EPOCH + timedelta(microseconds=value)).isoformat()
    except OverflowError as fault:
        wish = f"Column '{column.name}' must lie between the years 1678 and 2261. Correct it."
        raise RefusalError("range", wish, field=column.name) from fault
