"""Reading files of JSON lines that others append to: where the last whole line ends, which lines are sound.

A segment of the spool is finished when its writer's lock is gone. A last line without an end waits while the file
grows, and is set aside once it is finished. Lines that are no records are set aside as well, never lost and never in
the way.
"""

import fcntl
from dataclasses import dataclass
from pathlib import Path

# What is read of one file in one go; far above the longest record.
BLOCK_BYTES = 8 << 20


@dataclass(frozen=True)
class Block:
    """Whole lines of a file: the bytes, and the offsets where they start and end."""

    content: bytes
    start: int

    @property
    def end(self) -> int:
        """Offset behind the last line."""
        return self.start + len(self.content)


def read_block(path: Path, start: int) -> Block:
    """Read whole lines from offset `start`; empty when there is none yet."""
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(BLOCK_BYTES)
    end = content.rfind(b"\n") + 1
    if end == 0 and len(content) == BLOCK_BYTES:
        end = BLOCK_BYTES  # no record is this long: damage, which the parser sets aside
    return Block(content[:end], start)


def read_rest(path: Path, start: int) -> bytes:
    """Return what follows offset `start`, a line without an end for example."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read()


def is_finished(path: Path) -> bool:
    """Say whether the writer of a segment has closed it or died."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def set_aside(path: Path, start: int, lines: list[bytes]) -> Path:
    """Keep lines that are no records beside their file; the name carries the offset, so a repeat overwrites itself."""
    target = path.with_name(f"{path.stem}.{start}.rejected")
    temporary = target.with_suffix(".new")
    temporary.write_bytes(b"".join(lines))
    temporary.replace(target)
    return target
