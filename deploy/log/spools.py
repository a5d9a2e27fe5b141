"""Shipping the spools of a node: each version's folder of segments into a table of its use case's log."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import structlog
from pydantic import ValidationError

from deploy.log.backoff import Backoff
from deploy.log.batch_lines import parse_predictions
from deploy.log.clock import Clock
from deploy.log.disk import Disk
from deploy.log.leftovers import Leftovers
from deploy.log.segments import is_finished, read_block, read_rest, set_aside
from deploy.log.tables import Tables
from flywheel.contract import Contract
from flywheel.errors import FlywheelError, StackError
from flywheel.records import prediction_schema
from flywheel.serving import SAFE_DEFAULT
from flywheel.storage import TableName

FOLDER_NAME = re.compile(rf"(?P<use_case>[a-z][a-z0-9-]{{1,62}})-v(?P<version>[0-9]+|{SAFE_DEFAULT})")

COMMIT_BYTES = 48 << 20  # of lines in one commit, about

# Whole lines in; the sound ones as a table, and the others as they are.
Parser = Callable[[bytes], tuple[pa.Table, list[bytes]]]

log = structlog.get_logger()


class Spools:
    """All spools below `root` (HOME/spool), also those of dead agents: of predictions, where nothing else is said.

    A segment's application id is its name, its version the byte offset up to which it has been shipped.
    """

    table: TableName = "predictions"

    def __init__(self, root: Path, tables: Tables, disk: Disk, clock: Clock, *, chance: random.Random) -> None:
        self._root = root
        self._tables = tables
        self._disk = disk
        self._clock = clock
        self._chance = chance
        self._leftovers = Leftovers(disk, clock)
        self._offsets: dict[Path, int] = {}
        self._backoffs: dict[Path, Backoff] = {}
        self.rejected = 0

    def ship(self) -> Iterator[tuple[str, int]]:
        """Ship a block of each segment; yield use case and number of rows of each commit.

        A folder that cannot be shipped keeps its segments, and is tried again later.
        """
        for folder, use_case in self._folders():
            backoff = self._backoffs.setdefault(folder, Backoff(str(folder), self._clock, self._chance))
            if not backoff.is_due():
                continue
            try:
                rows = self._ship_folder(use_case, folder)
            except (FlywheelError, OSError) as fault:
                self._offsets.clear()  # what was committed before the fault is known to the table
                backoff.failed(fault)
            else:
                backoff.succeeded()
                if rows is not None:
                    yield use_case, rows

    def unshipped(self) -> list[Path]:
        """Return segments with whole lines that are not in the log, by the log's own account."""
        found = ((use_case, path) for folder, use_case in self._folders() for path in self._segments(folder))
        return [path for use_case, path in found if self._has_more(use_case, path)]

    def _folders(self) -> Iterator[tuple[Path, str]]:
        for name in self._disk.names(self._root):
            if named := FOLDER_NAME.fullmatch(name):
                yield self._root / name, named["use_case"]

    def _segments(self, folder: Path) -> list[Path]:
        return [folder / name for name in self._disk.names(folder) if is_segment(name)]

    def _has_more(self, use_case: str, path: Path) -> bool:
        try:
            return bool(read_block(path, self._position(use_case, path), self._disk).content)
        except FileNotFoundError:
            return False  # another process's shipper has finished with it meanwhile

    def _ship_folder(self, use_case: str, folder: Path) -> int | None:
        """Return the number of rows committed, None without a commit."""
        names = self._disk.names(folder)
        self._leftovers.clear(folder, names)
        segments = [folder / name for name in names if is_segment(name)]
        if not segments:
            return None
        finished = {path for path in segments if is_finished(path, self._disk)}  # before reading: these grow no more
        rows, ends = self._read(use_case, folder, segments)
        moved = {path: end for path, end in ends.items() if end > self._offsets[path]}
        if moved:
            self._commit(use_case, rows, {path.stem: end for path, end in moved.items()})
            self._offsets |= moved
        self._remove_shipped(use_case, [path for path in ends if path in finished])
        return rows.num_rows if moved else None

    def _read(self, use_case: str, folder: Path, segments: list[Path]) -> tuple[pa.Table, dict[Path, int]]:
        """Return a block's rows of each segment, and how far each was read; of as many as one commit may hold."""
        parse = self._parser(folder)
        tables: list[pa.Table] = [parse(b"")[0]]
        ends: dict[Path, int] = {}
        taken = 0
        for path in segments:
            if taken >= COMMIT_BYTES:
                break  # after a day without the store there is more than fits into memory
            block = read_block(path, self._offset(use_case, path), self._disk)
            taken += len(block.content)
            if block.content:
                table, rejected = parse(block.content)
                self._reject(path, block.start, rejected)
                tables.append(table)
            ends[path] = block.end
        return pa.concat_tables(tables), ends

    def _parser(self, folder: Path) -> Parser:
        path = folder / "contract.json"
        try:
            schema = prediction_schema(Contract.model_validate_json(self._disk.read(path, 0, -1)))
        except ValidationError as fault:
            raise StackError(f"Contract {path} is damaged. Start an agent of this version, which writes it.") from fault
        return lambda content: parse_predictions(content, schema)

    def _commit(self, use_case: str, rows: pa.Table, versions: Mapping[str, int]) -> None:
        self._tables.commit(use_case, self.table, rows, versions)

    def _offset(self, use_case: str, path: Path) -> int:
        if path not in self._offsets:
            self._offsets[path] = self._position(use_case, path)
        return self._offsets[path]

    def _position(self, use_case: str, path: Path) -> int:
        return self._tables.position(use_case, self.table, path.stem) or 0

    def _remove_shipped(self, use_case: str, finished: list[Path]) -> None:
        """Remove finished segments whose whole lines are in the table, once that survives loss of power."""
        shipped = [path for path in finished if not read_block(path, self._offsets[path], self._disk).content]
        if shipped:
            self._tables.settle(use_case, self.table)
        for path in shipped:
            if torn := read_rest(path, self._offsets[path], self._disk):
                self._reject(path, self._offsets[path], [torn])
            self._disk.remove(path)
            del self._offsets[path]

    def _reject(self, path: Path, start: int, lines: list[bytes]) -> None:
        if lines:
            self.rejected += len(lines)
            kept = set_aside(path, start, lines, self._disk)
            log.error("lines are no records", count=len(lines), total=self.rejected, kept=str(kept))


def is_segment(name: str) -> bool:
    """Say whether a file of a spool is a segment; one with a dot before its name is not there yet."""
    return name.endswith(".jsonl") and not name.startswith(".")
