"""A disk in memory that tells what is written from what is synced: for files their content, for folders their names."""

import errno
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.log.simulation.world import BrokenPromiseError, Process, World


@dataclass(eq=False)
class File:
    """Content, how many bytes of it are on the medium, and who holds its lock."""

    content: bytearray = field(default_factory=bytearray)
    synced: int = 0
    holder: Process | None = None


# What a folder did since it was synced: a name that now means a file, or none.
Change = tuple[Path, File | None]


class Medium:
    """All files of a node, as its processes see them and as loss of power would leave them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.files: dict[Path, File] = {}
        self._durable: dict[Path, File] = {}
        self._unsynced: dict[Path, list[list[Change]]] = defaultdict(list)
        world.blackout.append(self._lose_power)

    def change(self, *changes: Change) -> None:
        """Change names of one folder in one step."""
        for path, file in changes:
            if file is None:
                del self.files[path]
            else:
                self.files[path] = file
        self._unsynced[changes[0][0].parent].append(list(changes))

    def sync_folder(self, folder: Path) -> None:
        """Bring a folder's names to the medium."""
        for changes in self._unsynced.pop(folder, []):
            self._apply(changes)

    def survives(self, path: Path) -> bytes:
        """Return what loss of power would leave of a file at least."""
        file = self._durable.get(path)
        return bytes(file.content[: file.synced]) if file is not None else b""

    def _lose_power(self) -> None:
        """Of what was not synced, some of the names and some of the content arrive."""
        chance = self._world.chance
        for waiting in self._unsynced.values():
            for changes in waiting:
                if chance.random() < 0.5:
                    self._apply(changes)
        self._unsynced.clear()
        self.files = dict(self._durable)
        for file in self.files.values():
            file.holder = None
            kept = chance.randint(file.synced, len(file.content))
            lost = len(file.content) - kept
            del file.content[kept:]
            if chance.random() < 0.2:
                file.content += bytes(lost)  # the length arrived, and the data did not
            file.synced = len(file.content)

    def _apply(self, changes: list[Change]) -> None:
        for path, file in changes:
            if file is None:
                self._durable.pop(path, None)
            else:
                self._durable[path] = file


class VirtualDisk:
    """The medium as one process uses it: `deploy.log.disk.Disk`."""

    def __init__(self, medium: Medium, world: World, process: Process) -> None:
        self._medium = medium
        self._world = world
        self._process = process

    def names(self, folder: Path) -> list[str]:
        self._world.moment(self._process)
        below = f"{folder}/"
        return sorted(
            {str(path)[len(below) :].split("/")[0] for path in self._medium.files if str(path).startswith(below)}
        )

    def read(self, path: Path, start: int, size: int) -> bytes:
        with self._call(errno.EIO):
            content = self._file(path).content
            return bytes(content[start:] if size < 0 else content[start : start + size])

    def is_held(self, path: Path) -> bool:
        with self._call(errno.EIO):
            holder = self._file(path).holder
            return holder is not None and holder.alive

    @contextmanager
    def own(self, path: Path) -> Iterator[bool]:
        if path not in self._medium.files:
            self._medium.change((path, File()))
        file = self._medium.files[path]
        free = file.holder is None or not file.holder.alive
        if free:
            file.holder = self._process
        yield free
        if free:
            file.holder = None

    def write(self, path: Path, content: bytes) -> None:
        file = self._medium.files.get(path)
        with self._call():
            if file is None:
                file = File()
                self._medium.change((path, file))
            file.content[:] = b""
            file.synced = 0
            if self._world.disk_fails():
                file.content += content[: self._world.chance.randint(0, len(content))]
                raise OSError(errno.ENOSPC, "no space left")
            file.content += content

    def sync(self, path: Path) -> None:
        with self._call(errno.EIO):
            if path in self._medium.files:
                self._medium.files[path].synced = len(self._medium.files[path].content)
            else:
                self._medium.sync_folder(path)

    def rename(self, path: Path, target: Path) -> None:
        with self._call(errno.EIO):
            self._medium.change((target, self._file(path)), (path, None))

    def remove(self, path: Path) -> None:
        with self._call(errno.EIO):
            file = self._file(path)
            if path.suffix == ".jsonl" and file.holder is not None and file.holder.alive:
                raise BrokenPromiseError(f"{path} is removed while its writer lives")
            self._medium.change((path, None))

    @contextmanager
    def _call(self, fault: int | None = None) -> Iterator[None]:
        self._world.moment(self._process)
        if fault is not None and self._world.disk_fails():
            raise OSError(fault, "the disk has a fault")
        yield
        self._world.moment(self._process)

    def _file(self, path: Path) -> File:
        if path not in self._medium.files:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return self._medium.files[path]
