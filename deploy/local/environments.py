"""The environments of a home, one a lock, shared by all versions that have it: HOME/environments/<digest>.

They are built in processes of their own, so that the controller's tick waits for nothing; a build that outlives its
controller is waited for by the next one's. One that no version uses goes after a while.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deploy.local.building import READY, is_whole
from deploy.local.installers import python_of
from deploy.local.locks import builder_log
from deploy.local.log_tail import log_tail
from flywheel.errors import SpecError
from flywheel.settings import Settings
from flywheel.stack.processes import recorded_command

BUILD_SECONDS = 1800.0
AGAIN_SECONDS = 600.0  # after a failure, for a version that is still wanted: its index may be back
UNUSED_SECONDS = 86_400.0
TIDY_SECONDS = 60.0
GONE = ".gone"
REMEDY = (
    "If the index was down, a live version is tried again within ten minutes, and a new one once it is approved anew"
    " and deployed; if its lock names what there is not, train a new version."
)


class State(StrEnum):
    """How far an environment is."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"  # for this version; another one that has the same lock tries once more


@dataclass(frozen=True)
class Environment:
    """What became of an environment: its interpreter once it is ready, the reason if it failed."""

    digest: str
    state: State
    reason: str = ""


@dataclass
class Building:
    """A build under way: since when (seconds of the clock), and the versions that wait for it."""

    process: "subprocess.Popen[bytes]"
    since: float
    waiting: set[str] = field(default_factory=set)


class Environments:
    """The environments of one home. Not for several threads.

    Args:
        settings: Whose home.
        clock: Monotonic seconds.
        command: Builds one.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        command: tuple[str, ...] = (sys.executable, "-m", "deploy.local.building"),
    ) -> None:
        self._home = settings.root
        self._root = settings.root / "environments"
        self._clock = clock
        self._command = command
        self._building: dict[str, Building] = {}
        self._failed: dict[tuple[str, str], tuple[float, str]] = {}
        self._tidied = float("-inf")

    def python(self, digest: str) -> Path:
        """Return an environment's interpreter; '' is this installation."""
        return python_of(self._root / digest) if digest else Path(sys.executable)

    def poll(self, digest: str, package: Path, manager: str, version: str) -> Environment:
        """Start to build an environment unless that is under way or done; say how far it is.

        Args:
            digest: Of the lock.
            package: A folder with that lock.
            manager: `uv` or `virtualenv`.
            version: Who wants it, for people.
        """
        building = self._building.get(digest)
        if building is None:
            if is_whole(self._root / digest):
                return Environment(digest, State.READY)
            since, why = self._failed.get((digest, version), (float("-inf"), ""))
            if self._clock() - since < AGAIN_SECONDS:
                return _failure(digest, version, why)
            building = self._building[digest] = self._start(digest, package, manager)
        building.waiting.add(version)
        return self._waited(digest, building, version)

    def tidy(self, used: Iterable[str]) -> None:
        """Now and then remove the environments that nobody has used for a day.

        Args:
            used: Digests of those that a version's workers run in.
        """
        if self._clock() - self._tidied < TIDY_SECONDS:
            return
        self._tidied = self._clock()
        kept = {*used, *self._building}
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            if folder.name in kept:
                with suppress(FileNotFoundError):
                    os.utime(folder / READY)  # how long it is unused is counted from here
            elif folder.suffix == GONE or (folder.is_dir() and _is_unused(folder)):
                _remove(folder)

    def _start(self, digest: str, package: Path, manager: str) -> Building:
        words = ["--root", str(self._root), "--digest", digest, "--package", str(package), "--manager", manager]
        # Recorded, so that `flywheel down` ends it.
        command = recorded_command(self._home, f"environment-{digest}", [*self._command, *words])
        path = builder_log(self._home, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return Building(process, self._clock())

    def _waited(self, digest: str, building: Building, version: str) -> Environment:
        code = building.process.poll()
        if code is None and self._clock() - building.since < BUILD_SECONDS:
            return Environment(digest, State.BUILDING)
        del self._building[digest]
        if code == 0:
            return Environment(digest, State.READY)
        why = _why(builder_log(self._home, digest))
        if code is None:
            why = f"it was not ready within {BUILD_SECONDS:.0f} seconds."
            with suppress(ProcessLookupError):
                os.killpg(building.process.pid, signal.SIGKILL)
            building.process.wait()
        remedy = "" if code == SpecError.exit_code else f" {REMEDY}"  # a lock that is wrong says itself what to do
        why = f"{why.rstrip('.')}.{remedy} {log_tail(builder_log(self._home, digest))}"
        self._failed |= dict.fromkeys(((digest, one) for one in building.waiting), (self._clock(), why))
        return _failure(digest, version, why)


def _failure(digest: str, version: str, why: str) -> Environment:
    return Environment(digest, State.FAILED, f"The environment of {version} cannot be built: {why}")


def _why(log: Path) -> str:
    """Return the builder's last line, which is its reason."""
    lines = log.read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "it said nothing.")


def _is_unused(folder: Path) -> bool:
    """Say whether nobody has used it for a day, or built it: what a killed builder left and nobody wants any more."""
    marker = folder / READY
    return time.time() - (marker if marker.exists() else folder).stat().st_mtime > UNUSED_SECONDS


def _remove(folder: Path) -> None:
    """Take an environment away at once, and its twenty thousand files beside the tick."""
    gone = folder if folder.suffix == GONE else folder.with_name(f"{folder.name}-{time.time_ns()}{GONE}")
    folder.rename(gone)
    threading.Thread(target=shutil.rmtree, args=(gone,), kwargs={"ignore_errors": True}, daemon=True).start()
