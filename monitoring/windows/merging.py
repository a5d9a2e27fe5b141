"""Puts new rows and labels into the chapters that they concern, and says which blocks came out other than before."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from flywheel.errors import IntegrityError
from flywheel.profiling.series import Series
from monitoring.windows.chapters import by_chapter, number_of, read_chapters, write_chapter
from monitoring.windows.index import REMEDY, Chapter, Index
from monitoring.windows.intake import Intake
from monitoring.windows.keys import Key
from monitoring.windows.labels import Labels, relabelled, same_labels

Place = tuple[Key, int]  # of a chapter
Changed = dict[Key, tuple[datetime, ...]]


def merge(folder: Path, index: Index, intake: Intake, labels: Labels) -> tuple[tuple[Chapter, ...], Changed]:
    """Write the chapters that change, each into a new file.

    Returns:
        All chapters, and the starts of the blocks that changed, by version and arm, in order of time.

    Raises:
        IntegrityError: A chapter is damaged.
        OSError: The disk takes nothing.
    """
    known = {(Key(one.version, one.arm), one.number): one for one in index.chapters}
    added = {(key, number): part for key, series in intake.added.items() for number, part in by_chapter(series)}
    changed: Changed = {}
    for place in sorted({*added, *_open(known, index.closed, intake)}):
        key, number = place
        whole, moved = _merged(folder, known.get(place), added.get(place))
        whole, told = _with_labels(whole, labels.series.get(key), index.closed)
        if moved | told:
            known[place] = write_chapter(folder, key, number, whole)
            changed[key] = (*changed.get(key, ()), *sorted(moved | told))
    return tuple(known[place] for place in sorted(known)), changed


def _open(known: Mapping[Place, Chapter], closed: datetime | None, intake: Intake) -> Iterator[Place]:
    """Yield the chapters with blocks whose labels may change."""
    for place, chapter in known.items():
        there = intake.lenses(chapter.version) is not None
        if there and (closed is None or chapter.number >= number_of(closed, chapter.every)):
            yield place


def _merged(folder: Path, chapter: Chapter | None, new: Series | None) -> tuple[Series, set[datetime]]:
    """Return a chapter with its new rows, and the blocks that have some; one of the two is there."""
    moved = set() if new is None else {block.start for block in new.blocks}
    try:
        stored = None if chapter is None else read_chapters(folder, [chapter])
    except FileNotFoundError as fault:
        raise IntegrityError(f"The store of blocks {folder} lacks a file that its index names. {REMEDY}") from fault
    if stored is not None and new is not None:
        return stored.merge(new), moved
    whole = stored or new
    assert whole is not None  # noqa: S101  # a place is known or has new rows
    return whole, moved


def _with_labels(series: Series, labels: Series | None, closed: datetime | None) -> tuple[Series, set[datetime]]:
    """Return a chapter with the labels that are known now, and the blocks whose labels changed."""
    known = {} if labels is None else {block.start: block for block in labels.blocks}
    blocks, moved = [], set()
    for block in series.blocks:
        label = known.get(block.start)
        if (closed is not None and block.start < closed) or same_labels(block, label):
            blocks.append(block)
        else:
            blocks.append(relabelled(block, label))
            moved.add(block.start)
    return replace(series, blocks=tuple(blocks)), moved
