"""Reading files of JSON lines that others append to: where the last whole line ends, which lines are sound.

A segment of the spool is finished when its writer's lock is gone. A last line without an end waits while the file
grows, and is set aside once it is finished. Lines that are no records are set aside as well, never lost and never in
the way.
"""

from dataclasses import dataclass
from pathlib import Path

from deploy.log.disk import LOCAL, Disk

# What is read of one file in one go, unless a line is longer.
BLOCK_BYTES = 8 << 20
# No line has so many blocks: a record is at most six times as long as the largest request that an agent takes.
LONGEST_BLOCKS = 16


@dataclass(frozen=True)
class Block:
    """Whole lines of a file: the bytes, and the offsets where they start and end."""

    content: bytes
    start: int

    @property
    def end(self) -> int:
        """Offset behind the last line."""
        return self.start + len(self.content)


def read_block(path: Path, start: int, disk: Disk = LOCAL) -> Block:
    """Read whole lines from offset `start`; empty when there is none yet."""
    size = BLOCK_BYTES
    content = disk.read(path, start, size)
    while not (end := content.rfind(b"\n") + 1) and len(content) == size:
        if size >= LONGEST_BLOCKS * BLOCK_BYTES:
            end = size  # damage, which the parser sets aside
            break
        size *= 2
        content = disk.read(path, start, size)
    return Block(content[:end], start)


def read_rest(path: Path, start: int, disk: Disk = LOCAL) -> bytes:
    """Return what follows offset `start`, a line without an end for example."""
    return disk.read(path, start, -1)


def is_finished(path: Path, disk: Disk = LOCAL) -> bool:
    """Say whether the writer of a segment has closed it or died."""
    return not disk.is_held(path)


def set_aside(path: Path, start: int, lines: list[bytes], disk: Disk = LOCAL) -> Path:
    """Keep lines that are no records beside their file, also over loss of power.

    The name carries the offset, so that a repeat overwrites itself.
    """
    target = path.with_name(f"{path.stem}.{start}.rejected")
    temporary = target.with_suffix(".new")
    disk.write(temporary, b"".join(lines))
    disk.sync(temporary)
    disk.rename(temporary, target)
    disk.sync(target.parent)
    return target
