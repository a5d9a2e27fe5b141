"""What lies in the spools: bytes that wait for the shipper, and lines that it has set aside as no records."""

from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20


@dataclass(frozen=True)
class Spooled:
    """Bytes of segments, and lines that are quarantined beside them."""

    spool_bytes: int
    quarantined_lines: int


def spooled(home: Path, use_case: str, version: str) -> Spooled:
    """Look at the spools of a version: of its predictions, and of the outcomes that its agents took."""
    folders = [home / kind / f"{use_case}-v{version}" for kind in ("spool", "outcomes")]
    waiting = sum(_size(path) for folder in folders for path in folder.glob("*.jsonl"))
    return Spooled(waiting, sum(quarantined_lines(folder) for folder in folders))


def quarantined_lines(folder: Path) -> int:
    """Count the lines that were set aside in a folder (see `deploy.log.segments.set_aside`)."""
    return sum(_lines(path) for path in folder.glob("*.rejected"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # shipped meanwhile
        return 0


def _lines(path: Path) -> int:
    """Count lines; the last may be a torn one, without an end."""
    count, last = 0, b"\n"
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                count, last = count + chunk.count(b"\n"), chunk
    except OSError:
        return 0
    return count + (not last.endswith(b"\n"))
