"""Shipping the gateway's access log: one file of lines into the requests table of each use case."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import structlog

from deploy.log.segments import Block, read_block, set_aside
from deploy.log.tables import Tables
from flywheel.connections import write_private
from flywheel.errors import FlywheelError
from flywheel.records import REQUESTS

USE_CASE = re.compile(r"[a-z][a-z0-9-]{1,62}")

log = structlog.get_logger()

Row = dict[str, Any]


class AccessLog:
    """One access log and where its lines go.

    The application id is a digest of the file's first line, so a new file under the old name is not taken for the old
    one. Each table knows how far the file is in it; a small file keeps a lower bound of that for the next start.
    """

    def __init__(self, path: Path, position: Path, target: Tables) -> None:
        self._path = path
        self._position = position
        self._log = target
        self._identity: str | None = None
        self._offset = 0
        self.rejected = 0

    def ship(self) -> Iterator[tuple[str, int]]:
        """Ship a block of lines; yield use case and number of rows of each commit.

        What cannot be shipped is logged, and tried again the next time.
        """
        try:
            yield from self._ship()
        except (FlywheelError, OSError) as fault:
            log.error("access log not shipped", path=str(self._path), reason=str(fault))

    def unshipped(self) -> list[Path]:
        """Return the file if it has whole lines that have not been shipped."""
        identity = self._identify()
        if identity is None or not read_block(self._path, self._bound(identity)).content:
            return []
        return [self._path]

    def _ship(self) -> Iterator[tuple[str, int]]:
        identity = self._identify()
        if identity is None:
            return
        if identity != self._identity:
            self._identity, self._offset = identity, self._bound(identity)
        block = read_block(self._path, self._offset)
        if not block.content:
            return
        for route, rows in self._by_route(block).items():
            shipped = self._log.position(route, "requests", identity) or 0
            fresh = [row for end, row in rows if end > shipped]
            if fresh:
                table = pa.Table.from_pylist(fresh, schema=REQUESTS)
                self._log.commit(route, "requests", table, {identity: block.end})
                yield route, len(fresh)
        self._offset = block.end
        write_private(self._position, orjson.dumps({"file": identity, "offset": block.end}).decode())

    def _by_route(self, block: Block) -> dict[str, list[tuple[int, Row]]]:
        """Return rows by use case, each with the offset of its line's end; lines of no use case are left out."""
        routes: dict[str, list[tuple[int, Row]]] = defaultdict(list)
        rejected = []
        end = block.start
        for line in block.content.splitlines(keepends=True):
            end += len(line)
            row = parse_request(line)
            if row is None:
                rejected.append(line)
            elif row["route"] is not None and USE_CASE.fullmatch(row["route"]):
                routes[row["route"]].append((end, row))
        if rejected:
            self.rejected += len(rejected)
            kept = set_aside(self._path, block.start, rejected)
            log.error("lines are no requests", count=len(rejected), total=self.rejected, kept=str(kept))
        return routes

    def _identify(self) -> str | None:
        try:
            with self._path.open("rb") as file:
                first = file.readline()
        except FileNotFoundError:
            return None
        return f"gateway-{hashlib.sha256(first).hexdigest()[:16]}" if first.endswith(b"\n") else None

    def _bound(self, identity: str) -> int:
        try:
            bound = orjson.loads(self._position.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return 0
        return int(bound["offset"]) if bound["file"] == identity else 0


def parse_request(line: bytes) -> Row | None:
    """Return a line of the gateway's access log as a row of the requests table, None when it is none."""
    try:
        given = orjson.loads(line)
        return {name: read(given.get(key)) for name, (key, read) in COLUMNS.items()}
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError, OverflowError):
        return None


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


def _time(value: Any) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)


# Column of the table: key of the line, and how its value is read.
COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "request_id": ("request_id", _text),
    "time": ("time", _time),
    "code": ("code", _count),
    "response_flags": ("flags", _text_or_null),
    "attempts": ("attempts", _count),
    "cluster": ("cluster", _text_or_null),
    "upstream_host": ("host", _text_or_null),
    "path": ("path", _text_or_null),
    "duration_ms": ("duration_ms", _count),
    "route": ("route", _text_or_null),
}
