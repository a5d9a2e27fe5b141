"""Shipping the gateway's access log: a file of lines, and the one before it, into the requests table of each use case.

Whoever rotates (see `deploy.log.rotation`) leaves the older file beside the new one. Envoy may go on writing into it
until it has made the new one; once that is there the older grows no more, and can go when it is shipped.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import structlog

from deploy.log.access_lines import Row, split_line
from deploy.log.segments import Block, read_block, read_rest, set_aside
from deploy.log.tables import Tables
from flywheel.connections import write_private
from flywheel.errors import FlywheelError
from flywheel.records import REQUESTS

USE_CASE = re.compile(r"[a-z][a-z0-9-]{1,62}")

log = structlog.get_logger()


def rotated(path: Path) -> Path:
    """Return where the file before this one lies, if there is one."""
    return path.with_suffix(f".1{path.suffix}")


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
        """Return the files that have whole lines that have not been shipped."""
        return [path for path in (rotated(self._path), self._path) if self._has_more(path)]

    def _has_more(self, path: Path) -> bool:
        identity = _identify(path)
        try:
            return identity is not None and bool(read_block(path, self._bound(identity)).content)
        except FileNotFoundError:
            return False  # another process's shipper has finished with it meanwhile

    def _ship(self) -> Iterator[tuple[str, int]]:
        older = rotated(self._path)
        if older.exists():
            complete = self._path.exists()  # before reading: then nothing more comes
            yield from self._ship_file(older)
            if not complete or not self._removed(older):
                return
        yield from self._ship_file(self._path)

    def _ship_file(self, path: Path) -> Iterator[tuple[str, int]]:
        """Ship blocks up to one of which something is committed."""
        identity = _identify(path)
        if identity is None:
            return
        if identity != self._identity:
            self._identity, self._offset = identity, self._bound(identity)
        done = 0
        while not done and (block := read_block(path, self._offset)).content:
            routes = self._by_route(path, block)
            for route, rows in routes.items():
                if fresh := self._commit(route, rows, block.end):
                    done += fresh
                    yield route, fresh
            for route in routes:  # the position survives loss of power, so what it stands for must
                self._log.settle(route, "requests")
            self._offset = block.end
            write_private(self._position, orjson.dumps({"file": identity, "offset": block.end}).decode())

    def _commit(self, route: str, rows: list[tuple[int, Row]], end: int) -> int:
        """Append the rows that the table does not have yet; return their number."""
        assert self._identity is not None  # noqa: S101  # the file that they are from
        shipped = self._log.position(route, "requests", self._identity) or 0
        fresh = [row for line_end, row in rows if line_end > shipped]
        if fresh:
            table = pa.Table.from_pylist(fresh, schema=REQUESTS)
            self._log.commit(route, "requests", table, {self._identity: end})
        return len(fresh)

    def _removed(self, older: Path) -> bool:
        """Remove an older file if all of it is shipped; an end that is no line is set aside."""
        identity = _identify(older)
        start = self._offset if identity is not None else 0
        if identity is not None and read_block(older, start).content:
            return False
        if torn := read_rest(older, start):
            self._reject(older, start, [torn])
        older.unlink()
        return True

    def _by_route(self, path: Path, block: Block) -> dict[str, list[tuple[int, Row]]]:
        """Return rows by use case, each with the offset of its line's end; lines of no use case are left out."""
        routes: dict[str, list[tuple[int, Row]]] = defaultdict(list)
        rejected = []
        end = block.start
        for line in block.content.splitlines(keepends=True):
            end += len(line)
            torn, row = split_line(line)
            if torn:
                rejected.append(torn)
            if row is not None and row["route"] is not None and USE_CASE.fullmatch(row["route"]):
                routes[row["route"]].append((end, row))
        if rejected:
            self._reject(path, block.start, rejected)
        return routes

    def _reject(self, path: Path, start: int, lines: list[bytes]) -> None:
        self.rejected += len(lines)
        # Named by the file's identity, since the next file has the same name and other lines.
        kept = set_aside(path.with_name(f"{_identify(path) or path.stem}.jsonl"), start, lines)
        log.error("lines are no requests", count=len(lines), total=self.rejected, kept=str(kept))

    def _bound(self, identity: str) -> int:
        try:
            bound = orjson.loads(self._position.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return 0
        return int(bound["offset"]) if bound["file"] == identity else 0


def _identify(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return None
    return f"gateway-{hashlib.sha256(first).hexdigest()[:16]}" if first.endswith(b"\n") else None
