"""Where the fields of `inputs` and `outputs` stand in a use case's table, whose versions need not agree about them.

Each version has inputs and outputs of its own, and all share one table. A field that the table already has under that
name (Delta does not tell `Rain` from `rain`) but with another type stands beside it, under a name made from its own
name and type, so that no version's records are bent or refused because of another's.
"""

import hashlib
from collections.abc import Mapping

import polars as pl
import pyarrow as pa

from flywheel.column_types import POLARS
from flywheel.contract import ColumnType


def name_beside(name: str, kind: ColumnType) -> str:
    """Return the name of a field whose own name is taken: `prediction__double_0aa4b5`, the same every time."""
    return f"{name}__{kind}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def place(values: pa.ChunkedArray, known: pa.StructType) -> pa.ChunkedArray:
    """Name the fields of a column of structs, (n_rows,), as they stand beside the fields that the table has."""
    taken = {field.name.lower(): (field.name, _kind(field.type)) for field in known}
    names = []
    for field in values.type:
        own = (field.name, _kind(field.type))
        stands = taken.setdefault(field.name.lower(), own) == own
        names.append(field.name if stands else name_beside(*own))
    if names == [field.name for field in values.type]:
        return values
    fields = [field.with_name(name) for field, name in zip(values.type, names, strict=True)]
    chunks = [
        pa.StructArray.from_arrays(chunk.flatten(), fields=fields, mask=chunk.is_null()) for chunk in values.chunks
    ]
    return pa.chunked_array(chunks, type=pa.struct(fields))


def holds(known: pa.StructType, name: str, kind: ColumnType) -> bool:
    """Say whether a table's structs have a field of that name and type, or once had."""
    return any(
        field.name == name_beside(name, kind) or (field.name == name and _kind(field.type) == kind) for field in known
    )


def read_fields(frame: pl.DataFrame, column: str, wanted: Mapping[str, ColumnType]) -> pl.DataFrame:
    """Return the fields of a column of structs, n_rows by len(wanted), typed as wanted; null where a row has none.

    Args:
        frame: Rows of the log, of any versions.
        column: `inputs` or `outputs`.
        wanted: Type by name, as a version's contract has them.
    """
    kind = frame.schema[column]
    there = {field.name: field.dtype for field in kind.fields} if isinstance(kind, pl.Struct) else {}
    return frame.select(_field(column, there, name, kind).alias(name) for name, kind in wanted.items())


def _field(column: str, there: Mapping[str, object], name: str, kind: ColumnType) -> pl.Expr:
    wanted, beside = POLARS[kind], name_beside(name, kind)
    found = [pl.col(column).struct.field(beside)] if beside in there else []
    if there.get(name) == wanted:
        found.append(pl.col(column).struct.field(name))
    elif {there.get(name), wanted} == {POLARS["long"], POLARS["double"]}:
        # Whole numbers of both types once went into one field.
        found.append(pl.col(column).struct.field(name).cast(wanted, strict=False))
    return pl.coalesce(found) if found else pl.lit(None, dtype=wanted)


def _kind(kind: pa.DataType) -> ColumnType:
    if pa.types.is_timestamp(kind):
        return "datetime"
    if pa.types.is_floating(kind):
        return "double"
    if pa.types.is_integer(kind):
        return "long"
    return "boolean" if pa.types.is_boolean(kind) else "string"
