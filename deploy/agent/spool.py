"""The spool: records on local disk before their answers are sent, in segments that the shipper reads.

A segment stays locked (flock) while its writer lives, so a shipper knows by the lock which segments are finished,
however the writer died. What `append` has written survives kill -9: it is one write to an append-only file, with
nothing buffered in the process; with `synced` it survives loss of power as well. Several agents may write into one
folder.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import uuid_utils

from deploy.agent.limits import Limits
from flywheel.durable import sync
from flywheel.errors import StackError

CONTRACT = "contract.json"
# How long, and for how many bytes, what was free on the disk is taken for true: asking costs more than a write.
FREE_SECONDS = 0.5
FREE_BYTES = 4 << 20


def free_bytes(folder: Path) -> int:
    """Return what a process without privileges may still write on a folder's disk."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Spool:
    """Appends complete JSON lines; a segment that is large or old enough is followed by a new one.

    The contract lies beside the segments: the shipper takes the types of the inputs from it.
    """

    def __init__(
        self,
        folder: Path,
        contract: bytes,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._free, self._looked, self._room = free, -FREE_SECONDS, 0
        self._folder = folder
        self._limits = limits
        self._clock = clock
        self._torn = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_whole(folder / CONTRACT, contract, synced=limits.synced)
            self._open()
        except OSError as fault:
            raise StackError(
                f"Spool {folder} cannot be written: {fault.strerror}. Free space or correct its mode."
            ) from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, lines: bytes) -> None:
        """Write complete lines; afterwards they survive the death of this process.

        Raises:
            OSError: Less than the reserve would be left, or the disk took only a part, or nothing; then a new segment
                follows, so no later line is torn.
        """
        self._make_sure_of_room(len(lines))
        if self._torn or (self._size and self._is_full()):
            self._rotate()
        written = os.write(self._descriptor, lines)
        self._size += written
        if written != len(lines):
            self._torn = True
            raise OSError(f"only {written} of {len(lines)} bytes were written")
        if self._limits.synced:
            os.fdatasync(self._descriptor)

    def is_writable(self) -> bool:
        """Say whether a record could be written now, as far as the disk's free space and the folder's mode tell."""
        try:
            room = self._free(self._folder) - self._limits.reserve_bytes
        except OSError:
            return False
        return room > 0 and os.access(self._folder, os.W_OK)

    def close(self) -> None:
        """Give the last segment to the shipper."""
        os.close(self._descriptor)

    def _make_sure_of_room(self, size: int) -> None:
        if not self._limits.reserve_bytes:
            return
        now = self._clock()
        if now - self._looked >= FREE_SECONDS or self._room < size:
            left = self._free(self._folder) - self._limits.reserve_bytes
            self._looked, self._room = now, min(left, FREE_BYTES)
            if left < size:
                raise OSError(errno.ENOSPC, f"no more than the reserve is free below {self._folder}")
        self._room -= size

    def _is_full(self) -> bool:
        aged = self._clock() - self._opened >= self._limits.segment_seconds
        return aged or self._size >= self._limits.segment_bytes

    def _rotate(self) -> None:
        previous = self._descriptor
        self._open()
        os.close(previous)

    def _open(self) -> None:
        name = str(uuid_utils.uuid7())
        temporary, target = self._folder / f".{name}.new", self._folder / f"{name}.jsonl"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # The lock comes before the name: a segment that a shipper can see unlocked is finished.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.rename(target)
            if self._limits.synced:
                sync(self._folder)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._opened = self._clock()
        self._size = 0
        self._torn = False


def _write_whole(path: Path, content: bytes, *, synced: bool) -> None:
    """Replace a file in one step; its lock tells a shipper that the temporary one has a writer."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(content)
        if synced:
            os.fsync(file.fileno())
        temporary.replace(path)
    if synced:
        for folder in (path.parent, path.parent.parent):
            sync(folder)
