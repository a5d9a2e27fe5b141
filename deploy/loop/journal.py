"""The local journal: the looks of rollouts under way, in HOME/run/rollouts, so that a restart forgets no evidence.

Looks come every second or so, too many for the audit trail; the event of each step carries them once it is decided.
A lost journal costs the looks' boundaries only: what was counted since the step began is then one look.
"""

import errno
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flywheel.connections import write_private
from flywheel.errors import TransientError

HEADER, LOOKS, BACK, EXPERIMENT = ".rollout.json", ".jsonl", ".back", ".experiment.json"


@dataclass(frozen=True)
class Entry:
    """One look that was taken in.

    Args:
        step: Index of the rollout's step.
        look: What the verdict took, as `flywheel verdict` reads it.
        counters: The gateway's counters by arm at that look.
        cursor: How far the prediction log was read.
        seconds: When it was taken, since the rollout's start.
    """

    step: int
    look: Mapping[str, Any]
    counters: Mapping[str, Any]
    cursor: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Journal:
    """A rollout's looks, one line each; and beside them what it is, so that it can be gone back from without Postgres.

    The last line may be torn by a crash: then it was never taken in.

    Args:
        folder: Of the files.
        sync: Makes what was written to a file descriptor durable.
    """

    def __init__(self, folder: Path, sync: Callable[[int], None] = os.fdatasync) -> None:
        self._folder = folder
        self._sync = sync

    def read(self, rollout: str) -> list[Entry]:
        """Return the looks of a rollout, oldest first; what is damaged ends them."""
        try:
            lines = self._path(rollout).read_bytes().split(b"\n")[:-1]
        except OSError:
            return []
        entries: list[Entry] = []
        for line in lines:
            try:
                entries.append(Entry(**json.loads(line)))
            except (ValueError, TypeError):
                break
        return entries

    def size(self, rollout: str) -> int:
        """Return the size in bytes of what is kept, by which a reader sees that another one has written."""
        try:
            return self._path(rollout).stat().st_size
        except OSError:
            return 0

    def begin(self, rollout: str, header: Mapping[str, Any]) -> None:
        """Keep what a rollout is, and at which step, unless that is kept.

        Raises:
            TransientError: The disk does not take it.
        """
        path, text = self._header(rollout), json.dumps(header)
        with _kept(path):
            if not path.exists() or path.read_text() != text:
                write_private(path, text)

    def open_ones(self) -> dict[str, dict[str, Any]]:
        """Return the headers of all rollouts that are not over, by name."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted(self._folder.glob(f"*{HEADER}")):
            try:
                found[path.name.removesuffix(HEADER)] = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
        return found

    def keep_experiment(self, rollout: str, looks: Sequence[Mapping[str, Any]]) -> None:
        """Keep the looks that the judgement on an experiment goes by, instead of those that were kept.

        Raises:
            TransientError: The disk does not take them.
        """
        with _kept(self._experiment(rollout)):
            write_private(self._experiment(rollout), json.dumps(looks))

    def experiment(self, rollout: str) -> list[dict[str, Any]]:
        """Return these looks; none where none are kept."""
        try:
            found: list[dict[str, Any]] = json.loads(self._experiment(rollout).read_text())
        except (OSError, ValueError):
            return []
        return found

    def send_back(self, rollout: str, reason: str) -> None:
        """Keep that traffic was sent back to the champion while nothing could be recorded.

        Raises:
            TransientError: The disk does not take it.
        """
        with _kept(self._back(rollout)):
            write_private(self._back(rollout), reason)

    def sent_back(self, rollout: str) -> str | None:
        """Return why traffic was sent back; None when it was not."""
        try:
            return self._back(rollout).read_text()
        except OSError:
            return None

    def append(self, rollout: str, entry: Entry) -> None:
        """Keep one more look, or nothing of it.

        Raises:
            TransientError: The disk does not take it.
        """
        path = self._path(rollout)
        with _kept(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, _line(entry).encode())

    def replace(self, rollout: str, entries: Iterable[Entry]) -> None:
        """Keep these looks instead of those that were kept, or leave those.

        Raises:
            TransientError: The disk does not take them.
        """
        with _kept(self._path(rollout)):
            write_private(self._path(rollout), "".join(map(_line, entries)))

    def _write(self, path: Path, line: bytes) -> None:
        with path.open("ab", buffering=0) as file:
            size = _whole_bytes(path)
            file.truncate(size)
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._sync(file.fileno())
            except OSError:
                # The next look covers what this one did: were it read again after a restart, it would count twice.
                with suppress(OSError):
                    file.truncate(size)
                raise

    def drop(self, rollout: str) -> None:
        """Forget a rollout that is over: its events carry the looks."""
        for path in (self._header(rollout), self._path(rollout), self._back(rollout), self._experiment(rollout)):
            path.unlink(missing_ok=True)

    def keep_only(self, rollouts: Collection[str]) -> None:
        """Forget all others: they were over when a controller died before it dropped them, or were undeployed."""
        for kind in (HEADER, LOOKS, BACK, EXPERIMENT):
            for path in self._folder.glob(f"*{kind}"):
                if path.name.removesuffix(kind) not in rollouts:
                    path.unlink(missing_ok=True)

    def _path(self, rollout: str) -> Path:
        return self._folder / f"{rollout}{LOOKS}"

    def _header(self, rollout: str) -> Path:
        return self._folder / f"{rollout}{HEADER}"

    def _experiment(self, rollout: str) -> Path:
        return self._folder / f"{rollout}{EXPERIMENT}"

    def _back(self, rollout: str) -> Path:
        return self._folder / f"{rollout}{BACK}"


def _line(entry: Entry) -> str:
    return json.dumps(vars(entry), separators=(",", ":")) + "\n"


@contextmanager
def _kept(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise TransientError(
            f"{path} cannot be written: {fault.strerror}. No look can be kept and no step taken: make room."
        ) from fault


def _whole_bytes(path: Path) -> int:
    """Return the size of a file without a last line that a crash left half written."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - 1, 0))
        return size if file.read(1) in {b"\n", b""} else path.read_bytes().rfind(b"\n") + 1
