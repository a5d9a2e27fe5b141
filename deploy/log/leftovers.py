"""Clearing temporary files whose writer, an agent or a shipper, was killed before it gave them their names."""

import re
from collections.abc import Sequence
from pathlib import Path

import structlog

from deploy.log.clock import Clock
from deploy.log.disk import Disk

# Writers lock a temporary file just after they create it: only one that has been free for so long has no writer.
FREE_SECONDS = 60.0
# `.<segment>.new` and `.contract.json.<pid>` of agents, `<segment>.<offset>.new` of shippers.
TEMPORARY = re.compile(r"\..+\.(new|[0-9]+)|.+\.[0-9]+\.new")

log = structlog.get_logger()


class Leftovers:
    """The temporary files of the spools, each with the time (seconds) since which nobody has held its lock."""

    def __init__(self, disk: Disk, clock: Clock) -> None:
        self._disk = disk
        self._clock = clock
        self._free_since: dict[Path, float] = {}

    def clear(self, folder: Path, names: Sequence[str]) -> None:
        """Remove from a folder, which holds these names, what nobody has held for a minute.

        Raises:
            OSError: A file could not be removed.
        """
        for name in names:
            if TEMPORARY.fullmatch(name):
                self._look(folder / name)

    def _look(self, path: Path) -> None:
        try:
            held = self._disk.is_held(path)
        except FileNotFoundError:  # it has its name meanwhile
            held = True
        if held:
            self._free_since.pop(path, None)
        elif self._clock.now() - self._free_since.setdefault(path, self._clock.now()) >= FREE_SECONDS:
            del self._free_since[path]
            self._disk.remove(path)
            log.warning("leftover removed", path=str(path))
