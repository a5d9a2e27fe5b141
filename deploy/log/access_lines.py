"""Reading a line of the gateway's access log as a row of the requests table."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

Row = dict[str, Any]


def split_line(line: bytes) -> tuple[bytes, Row | None]:
    """Return what of a line is no request, and the request.

    Where Envoy was killed while it wrote, the next one's first line follows the torn one without an end between them.
    A quote within a value is escaped, so a request in a client's path cannot be taken for one.
    """
    row, start = parse_request(line), len(line)
    while row is None and (start := line.rfind(b'{"', 0, start)) > 0:
        row = parse_request(line[start:])
    return (b"" if start == len(line) else line[:start], row) if row is not None else (line, None)


def parse_request(line: bytes) -> Row | None:
    """Return a line of the gateway's access log as a row of the requests table, None when it is none."""
    try:
        given = orjson.loads(line)
        row = {name: read(given.get(key)) for name, (key, read) in COLUMNS.items()}
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError, OverflowError):
        return None
    # What is no HTTP gets no id, and no route: a client's fault, not the log's.
    return None if row["request_id"] is None and row["route"] is not None else row


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _text_or_null(value: Any) -> str | None:
    return None if value is None else _text(value)


def _count(value: Any) -> int:
    """Read a number; Envoy writes null where a request never reached an upstream."""
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value < 2**31:
        raise TypeError
    return value


def _count_or_null(value: Any) -> int | None:
    """Read a number that only some requests have; a client may have been told nonsense, and then it is none."""
    return value if type(value) is int and 0 <= value < 2**31 else None


def _time(value: Any) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)


# Column of the table: key of the line, and how its value is read.
COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "request_id": ("request_id", _text_or_null),
    "time": ("time", _time),
    "code": ("code", _count),
    "response_flags": ("flags", _text_or_null),
    "attempts": ("attempts", _count),
    "cluster": ("cluster", _text_or_null),
    "upstream_host": ("host", _text_or_null),
    "path": ("path", _text_or_null),
    "duration_ms": ("duration_ms", _count),
    "route": ("route", _text_or_null),
    # Lines from before these were written have none of them.
    "rollout": ("rollout", _text_or_null),
    "arm": ("arm", _text_or_null),
    "unit": ("unit", _text_or_null),
    "grpc_status": ("grpc_status", _count_or_null),
}
