"""Shipping the spools of a node: each version's folder of segments into a table of its use case's log."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import structlog

from deploy.log.batch_lines import parse_predictions
from deploy.log.segments import is_finished, read_block, read_rest, set_aside
from flywheel.contract import read_contract
from flywheel.errors import FlywheelError
from flywheel.records import prediction_schema
from flywheel.storage import PredictionLog, TableName

FOLDER_NAME = re.compile(r"(?P<use_case>[a-z][a-z0-9-]{1,62})-v(?P<version>[0-9]+)")

COMMIT_BYTES = 48 << 20  # of lines in one commit, about

# Whole lines in; the sound ones as a table, and the others as they are.
Parser = Callable[[bytes], tuple[pa.Table, list[bytes]]]

log = structlog.get_logger()


class Spools:
    """All spools below `root` (HOME/spool), also those of dead agents: of predictions, where nothing else is said.

    A segment's application id is its name, its version the byte offset up to which it has been shipped.
    """

    table: TableName = "predictions"

    def __init__(self, root: Path, target: PredictionLog) -> None:
        self._root = root
        self._log = target
        self._offsets: dict[Path, int] = {}
        self.rejected = 0

    def ship(self) -> Iterator[tuple[str, int]]:
        """Ship a block of each segment; yield use case and number of rows of each commit.

        A folder that cannot be shipped is logged, keeps its segments, and is tried again the next time.
        """
        for folder in sorted(self._root.glob("*-v*")):
            named = FOLDER_NAME.fullmatch(folder.name)
            if named is None:
                continue
            try:
                rows = self._ship_folder(named["use_case"], folder)
            except (FlywheelError, OSError) as fault:
                self._offsets.clear()  # what was committed before the fault is known to the table
                log.error("spool not shipped", folder=str(folder), reason=str(fault))
            else:
                if rows is not None:
                    yield named["use_case"], rows

    def unshipped(self) -> list[Path]:
        """Return segments with whole lines that are not in the log, by the log's own account."""
        return [path for path in sorted(self._root.glob("*-v*/*.jsonl")) if self._has_more(path)]

    def _has_more(self, path: Path) -> bool:
        named = FOLDER_NAME.fullmatch(path.parent.name)
        if named is None:
            return False
        try:
            return bool(read_block(path, self._position(named["use_case"], path)).content)
        except FileNotFoundError:
            return False  # another process's shipper has finished with it meanwhile

    def _ship_folder(self, use_case: str, folder: Path) -> int | None:
        """Return the number of rows committed, None without a commit."""
        segments = sorted(folder.glob("*.jsonl"))
        if not segments:
            return None
        finished = [path for path in segments if is_finished(path)]  # before reading: these grow no more
        parse = self._parser(folder)
        tables: list[pa.Table] = []
        ends: dict[Path, int] = {}
        looked: set[Path] = set()
        taken = 0
        for path in segments:
            if taken >= COMMIT_BYTES:
                break  # after a day without the store there is more than fits into memory
            looked.add(path)
            block = read_block(path, self._offset(use_case, path))
            taken += len(block.content)
            if block.content:
                table, rejected = parse(block.content)
                self._reject(path, block.start, rejected)
                tables.append(table)
                ends[path] = block.end
        if ends:
            versions = {path.stem: end for path, end in ends.items()}
            self._commit(use_case, pa.concat_tables(tables), versions)
            self._offsets |= ends
        for path in looked.intersection(finished):
            self._remove_shipped(path)
        return sum(table.num_rows for table in tables) if ends else None

    def _parser(self, folder: Path) -> Parser:
        schema = prediction_schema(read_contract(folder / "contract.json"))
        return lambda content: parse_predictions(content, schema)

    def _commit(self, use_case: str, rows: pa.Table, versions: Mapping[str, int]) -> None:
        self._log.commit(use_case, self.table, rows, versions)

    def _offset(self, use_case: str, path: Path) -> int:
        if path not in self._offsets:
            self._offsets[path] = self._position(use_case, path)
        return self._offsets[path]

    def _position(self, use_case: str, path: Path) -> int:
        return self._log.position(use_case, self.table, path.stem) or 0

    def _remove_shipped(self, path: Path) -> None:
        offset = self._offsets[path]
        if read_block(path, offset).content:
            return
        if torn := read_rest(path, offset):
            self._reject(path, offset, [torn])
        path.unlink()
        del self._offsets[path]

    def _reject(self, path: Path, start: int, lines: list[bytes]) -> None:
        if lines:
            self.rejected += len(lines)
            kept = set_aside(path, start, lines)
            log.error("lines are no records", count=len(lines), total=self.rejected, kept=str(kept))
