"""The lines of a prediction spool from and to plain records, for tests, without the code under test."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

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
Record = dict[str, Any]


def line_of(*records: Record) -> bytes:
    """Return the line that holds these records, which must agree in what a line says once."""
    first = records[0]
    line = {name: first[name] for name in SHARED if name in first}
    for name, value in first.items():
        if name in SHARED:
            continue
        column = [record[name] for record in records]
        line[name] = _by_name(column) if isinstance(value, dict) else column
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def records_in(content: bytes) -> list[Record]:
    """Return the records of all lines, in order."""
    return [record for line in content.splitlines() for record in _records(orjson.loads(line))]


def _by_name(column: Sequence[Record]) -> dict[str, list[Any]]:
    return {name: [one[name] for one in column] for name in column[0]}


def _records(line: Record) -> Iterable[Record]:
    for place in range(len(line["request_id"])):
        yield {name: value if name in SHARED else _at(value, place) for name, value in line.items()}


def _at(column: Any, place: int) -> Any:
    if isinstance(column, dict):
        return {name: values[place] for name, values in column.items()}
    return column[place]
