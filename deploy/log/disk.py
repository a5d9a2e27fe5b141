"""The shipper's disk, as few calls as it needs, so that a simulation can stop it between any two of them."""

import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from flywheel.durable import sync


class Disk(Protocol):
    """A file system, one call of the operating system a method: that is why there are eight.

    What `write`, `rename` and `remove` did survives the process at once, and loss of power only after `sync`: of the
    file for its content, of its folder for its name. All raise OSError.
    """

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, in order; none where there is no such folder."""
        ...

    def read(self, path: Path, start: int, size: int) -> bytes:
        """Return at most `size` bytes from offset `start`; all that follow where `size` is -1."""
        ...

    def is_held(self, path: Path) -> bool:
        """Say whether a living process holds the lock of a file."""
        ...

    def own(self, path: Path) -> AbstractContextManager[bool]:
        """Try to take a file's lock, which ends with the context and with the process; says whether that worked."""
        ...

    def write(self, path: Path, content: bytes) -> None:
        """Create or overwrite a file; a fault may leave a part of it."""
        ...

    def sync(self, path: Path) -> None:
        """Return when a file's content, or a folder's names, are on the medium."""
        ...

    def rename(self, path: Path, target: Path) -> None:
        """Give a file another name, in one step, over whatever has that name."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file."""
        ...


class LocalDisk:
    """The disk of this machine."""

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder."""
        try:
            return sorted(path.name for path in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, path: Path, start: int, size: int) -> bytes:
        """Return bytes of a file."""
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def is_held(self, path: Path) -> bool:
        """Try the lock."""
        with path.open("rb") as file:
            return not _locked(file.fileno())

    @contextmanager
    def own(self, path: Path) -> Iterator[bool]:
        """Hold the lock of a file, which is made where it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            yield _locked(file.fileno())

    def write(self, path: Path, content: bytes) -> None:
        """Write a file."""
        path.write_bytes(content)

    def sync(self, path: Path) -> None:
        """Call fsync."""
        sync(path)

    def rename(self, path: Path, target: Path) -> None:
        """Rename a file."""
        path.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()


LOCAL = LocalDisk()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
