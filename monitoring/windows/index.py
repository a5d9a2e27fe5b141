"""What the store of blocks has come to: how far the log was read, and which files hold what.

It names every other file, and is replaced in one step; so what it says is always whole, whenever a process dies.
"""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from flywheel.durable import sync
from flywheel.errors import IntegrityError
from flywheel.position import Position
from flywheel.storage import TableName

NAME = "index.json"
FORMAT = 1
UNFINISHED = ".new"
REMEDY = "Remove the folder; it is made again from the log."


class Frozen(BaseModel):
    """A part of the index."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Chapter(Frozen):
    """Some blocks of one version and arm, in one file.

    Args:
        version: Who answered.
        arm: In which arm of a rollout.
        every: The length of its blocks in seconds.
        number: The blocks' numbers since 1970, divided by `monitoring.windows.chapters.LENGTH`.
        file: Its name.
    """

    version: str
    arm: str
    every: float
    number: int
    file: str


class Quarantined(Frozen):
    """A file of the log that cannot be read: its rows are missing from the blocks until it can.

    Args:
        table: Whose it is.
        file: Its name.
        after: Rows of appends above this number are missing …
        until: … up to this one.
        reason: What reading it said.
    """

    table: TableName
    file: str
    after: int
    until: int
    reason: str


class Moment(Frozen):
    """Where the log ended at some time (naive UTC)."""

    time: datetime
    position: Position


class Index(Frozen):
    """The store at one point.

    Args:
        format: Of the store.
        position: Rows up to here are in the blocks, or wait.
        chapters: Files of blocks.
        waiting: File with records that wait for the gateway's line; `lines`: the reverse; '' for none.
        lines: See `waiting`.
        began: By start of a block whose labels may still change: where the log was before its first row came.
        closed: Blocks that begin before this time keep the labels they have; None before the first update.
        moments: Where the log was at earlier updates, in order of time.
        quarantined: Files that could not be read.
        unprofiled: Rows by version whose package is not here.
    """

    format: int = FORMAT
    position: Position = Position()
    chapters: tuple[Chapter, ...] = ()
    waiting: str = ""
    lines: str = ""
    began: dict[datetime, Position] = {}
    closed: datetime | None = None
    moments: tuple[Moment, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    unprofiled: dict[str, int] = {}

    @property
    def files(self) -> set[str]:
        """Every file that it names."""
        return {chapter.file for chapter in self.chapters} | {name for name in (self.waiting, self.lines) if name}


def read_index(folder: Path) -> Index:
    """Read the index of a store, an empty one where there is none yet.

    Raises:
        IntegrityError: It is damaged, or of a later release.
    """
    path = folder / NAME
    try:
        index = Index.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Index()
    except (OSError, ValidationError) as fault:
        what = fault.errors()[0]["msg"] if isinstance(fault, ValidationError) else fault.strerror
        raise IntegrityError(f"The store of blocks {folder} is damaged: {NAME}: {what}. {REMEDY}") from fault
    if index.format != FORMAT:
        raise IntegrityError(
            f"The store of blocks {folder} is of format {index.format}, not {FORMAT}, as this release reads. {REMEDY}"
        )
    return index


def write_index(folder: Path, index: Index) -> None:
    """Replace the index in one step; the files that it names are there already.

    Raises:
        OSError: The disk takes nothing.
    """
    sync(folder)  # their names before it
    put(folder / NAME, index.model_dump_json().encode())
    sync(folder)


def put(path: Path, content: bytes) -> None:
    """Let a file be there whole or not at all; its content is on the medium, its name once the folder is synced.

    Raises:
        OSError: The disk takes nothing.
    """
    new = path.with_name(f"{path.name}{UNFINISHED}")
    write(new, content)
    new.replace(path)


def write(path: Path, content: bytes) -> None:
    """Write a file, and return when its content is on the medium.

    Raises:
        OSError: The disk takes nothing.
    """
    path.write_bytes(content)
    sync(path)
