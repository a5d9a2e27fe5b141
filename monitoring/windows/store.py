"""The store of blocks of one use case: profiles of what its versions answered, by arm, made once and merged.

    HOME/monitoring/<use case>/blocks/index.json    how far the log was read, and which files count
                                      *.blocks      some thirty blocks of one version and arm each
                                      *.parquet     keys of records and of the gateway's lines that wait for each other

A file has a name made of its content, and is there whole or not at all; the index names those that count and is
replaced in one step. So a process may die anywhere: the next one goes on from the last index, and each row is in the
blocks once.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from flywheel.errors import IntegrityError, StackError
from flywheel.profiling.series import Series
from monitoring.windows.chapters import number_of, read_chapters
from monitoring.windows.deliveries import Deliveries, deliveries_from
from monitoring.windows.index import REMEDY, UNFINISHED, Index, put, read_index, write_index
from monitoring.windows.keys import Key

# How often a reader begins again because an update has removed what its index named.
TRIES = 5


class BlockStore:
    """Reads and replaces the store of one use case below `home`."""

    def __init__(self, home: Path, use_case: str) -> None:
        self.folder = home / "monitoring" / use_case / "blocks"

    def kept(self) -> list[Key]:
        """Return the versions and arms that have blocks."""
        return sorted({Key(chapter.version, chapter.arm) for chapter in self.index().chapters})

    def index(self) -> Index:
        """Return what the store has come to.

        Raises:
            IntegrityError: It is damaged.
        """
        return read_index(self.folder)

    def series(self, key: Key, start: datetime | None = None, end: datetime | None = None) -> Series | None:
        """Return the blocks of a version and arm with start <= their start < end (naive UTC); None where it has none.

        Raises:
            IntegrityError: The store is damaged.
        """
        for _ in range(TRIES):
            chapters = [one for one in self.index().chapters if (one.version, one.arm) == key]
            chapters = [one for one in chapters if _within(one.every, one.number, start, end)]
            try:
                found = read_chapters(self.folder, chapters)
            except FileNotFoundError:
                continue
            return None if found is None else found.between(start or datetime.min, end or datetime.max)
        raise IntegrityError(f"The store of blocks {self.folder} lacks a file that its index names. {REMEDY}")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store: of two updates at once the second waits.

        Raises:
            StackError: The disk takes nothing.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / ".lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as fault:
            raise StackError(
                f"The store of blocks {self.folder} cannot be used: {fault}. Check disk space and permissions."
            ) from fault

    def deliveries(self, index: Index) -> Deliveries:
        """Return what waits for the gateway's lines.

        Raises:
            IntegrityError: It is damaged.
        """
        try:
            sides = [(self.folder / name).read_bytes() if name else b"" for name in (index.waiting, index.lines)]
            return deliveries_from(*sides)
        except (FileNotFoundError, IntegrityError) as fault:
            raise IntegrityError(f"The store of blocks {self.folder} is damaged: {fault} {REMEDY}") from fault

    def keep(self, content: bytes, suffix: str) -> str:
        """Write a file under a name made of its content, '' for none; return the name."""
        if not content:
            return ""
        name = f"{hashlib.sha256(content).hexdigest()[:24]}.{suffix}"
        put(self.folder / name, content)
        return name

    def replace(self, index: Index) -> None:
        """Let the store be what an index says, whose files are all there; remove what it does not name."""
        write_index(self.folder, index)
        for path in self.folder.iterdir():
            if path.suffix in (".blocks", ".parquet", UNFINISHED) and path.name not in index.files:
                path.unlink(missing_ok=True)


def _within(seconds: float, number: int, start: datetime | None, end: datetime | None) -> bool:
    """Say whether a chapter may have blocks of a span."""
    after = start is None or number >= number_of(start, seconds)
    return after and (end is None or number <= number_of(end, seconds))
