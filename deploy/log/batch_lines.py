"""Reading the lines of an agent's spool: each holds the records of requests that finished together, column by column.

`deploy.agent.recording` writes them. What a line says once is repeated for each of its records; everything else is a
list of one value a record.
"""

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

# Said once a line.
SHARED = (
    "schema_version",
    "use_case",
    "model_version",
    "model_digest",
    "recorded_time",
    "online_features",
    "cache_hit",
    "shift",
)
REQUIRED = ("schema_version", "request_id", "attempt", "row", "prediction_id", "event_time", "recorded_time", "status")


def parse_predictions(content: bytes, schema: pa.Schema) -> tuple[pa.Table, list[bytes]]:
    """Return the records of the sound lines as a table (n_records) of `schema`, and the other lines as they are."""
    try:
        return _parse(content, schema), []
    except pa.ArrowInvalid:
        pass  # rare: find the lines at fault, one at a time
    tables, rejected = [schema.empty_table()], []
    for line in content.splitlines(keepends=True):
        try:
            tables.append(_parse(line, schema))
        except pa.ArrowInvalid:
            rejected.append(line)
    return pa.concat_tables(tables), rejected


def _parse(content: bytes, schema: pa.Schema) -> pa.Table:
    if not content:
        return schema.empty_table()
    lines = _read(content, schema)
    lengths = pc.list_value_length(lines.column("request_id"))
    records = pc.list_parent_indices(lines.column("request_id"))
    columns = [_column(lines.column(field.name), field, lengths, records) for field in schema]
    table = pa.Table.from_arrays(columns, schema=schema)
    if any(table.column(name).null_count for name in REQUIRED):
        raise pa.ArrowInvalid("a record lacks what each must have")
    if not pc.all(pc.equal(table.column("schema_version"), 1)).as_py():
        raise pa.ArrowInvalid("a record has another schema version")
    return table


def _read(content: bytes, schema: pa.Schema) -> pa.RecordBatch:
    """Return a row a line."""
    expected = pa.schema([_as_written(field) for field in schema])
    options = pyarrow.json.ParseOptions(explicit_schema=expected, unexpected_field_behavior="error")
    # One block, because a line may not straddle two.
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(content) + 1)
    table = pyarrow.json.read_json(io.BytesIO(content), read_options=reading, parse_options=options)
    if table.num_rows != content.count(b"\n"):
        raise pa.ArrowInvalid("a line is no record")
    (batch,) = table.select(schema.names).combine_chunks().to_batches()
    return batch


def _as_written(field: pa.Field) -> pa.Field:
    if field.name in SHARED:
        return field
    if pa.types.is_struct(field.type):
        return pa.field(field.name, pa.struct([pa.field(one.name, pa.list_(one.type)) for one in field.type]))
    return pa.field(field.name, pa.list_(field.type))


def _column(written: pa.Array, field: pa.Field, lengths: pa.Array, records: pa.Array) -> pa.Array:
    """Return a column with a value a record from what the lines say."""
    if field.name in SHARED:
        return written.take(records)
    if not pa.types.is_struct(field.type):
        return _values(written, lengths)
    if written.null_count:
        raise pa.ArrowInvalid(f"a line has no {field.name}")
    parts = [_values(part, lengths) for part in written.flatten()]
    return pa.StructArray.from_arrays(parts, fields=list(field.type))


def _values(lists: pa.Array, lengths: pa.Array) -> pa.Array:
    if lists.null_count or not pc.all(pc.equal(pc.list_value_length(lists), lengths)).as_py():
        raise pa.ArrowInvalid("a line's columns differ in length")
    return lists.flatten()
