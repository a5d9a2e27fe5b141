"""Blocks in files, some thirty to a file: what an update writes again is as much after ten years as after a month."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from flywheel.column_rules import EPOCH
from flywheel.errors import IntegrityError
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import series_bytes, series_from
from monitoring.windows.index import REMEDY, Chapter, put
from monitoring.windows.keys import Key

LENGTH = 32  # blocks


def number_of(start: datetime, every: float) -> int:
    """Return the number of the chapter that holds the block beginning at `start`; blocks are `every` seconds long."""
    return (start - EPOCH) // timedelta(seconds=every) // LENGTH


def by_chapter(series: Series) -> Iterator[tuple[int, Series]]:
    """Yield the parts of a series, by the number of their chapter."""
    length = series.every * LENGTH
    for number in sorted({number_of(block.start, series.every.total_seconds()) for block in series.blocks}):
        start = EPOCH + length * number
        yield number, series.between(start, start + length)


def write_chapter(folder: Path, key: Key, number: int, series: Series) -> Chapter:
    """Write a part of a series into a file named by its content.

    Raises:
        OSError: The disk takes nothing.
    """
    content = series_bytes(series)
    name = f"{hashlib.sha256(content).hexdigest()[:24]}.blocks"
    put(folder / name, content)
    every = series.every.total_seconds()
    return Chapter(version=key.version, arm=key.arm, every=every, number=number, file=name)


def read_chapters(folder: Path, chapters: Sequence[Chapter]) -> Series | None:
    """Read parts of one version and arm, in order of time; None where there is none.

    Raises:
        FileNotFoundError: A file is not there: a newer index names others.
        IntegrityError: A file is damaged.
    """
    found: Series | None = None
    for chapter in sorted(chapters, key=lambda one: one.number):
        try:
            part = series_from((folder / chapter.file).read_bytes(), str(folder / chapter.file))
        except IntegrityError as fault:
            raise IntegrityError(f"A chapter of the store of blocks {folder} is damaged: {fault} {REMEDY}") from fault
        # A later package of one version does not exist, so its scale is one.
        found = part if found is None else found.merge(part)
    return found
