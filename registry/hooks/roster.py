"""Who the consumers are now: the post hooks that are installed, and the receivers of the operator's file.

The file is read anew when it changes. One that is wrong is told in the log, and the one before stays in force.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from flywheel.errors import SpecError
from registry.hooks.consumers import Consumer, post_hooks
from registry.hooks.file import parse_hooks

log = structlog.get_logger()
Mark = tuple[int, int, int] | None


class Roster:
    """Consumers by name. Not for several threads.

    Args:
        path: The file of receivers; it need not be there.
        hooks: What is always told beside them; the installed post hooks by default.
    """

    def __init__(self, path: Path | None, hooks: Sequence[Consumer] | None = None) -> None:
        self._path = path
        always: Sequence[Consumer] = list(post_hooks()) if hooks is None else hooks
        self._hooks = {hook.name: hook for hook in always}
        self._receivers: dict[str, Consumer] = {}
        self._was_read = False
        self._mark: Mark = None  # of the file as it was read last

    @property
    def consumers(self) -> Mapping[str, Consumer]:
        """All of them, as of the last `reread`."""
        return self._receivers | self._hooks

    def reread(self) -> bool:
        """Read the file if it has changed; return whether anything may have."""
        mark = _mark(self._path)
        if self._was_read and mark == self._mark:
            return False
        self._was_read, self._mark = True, mark
        try:
            receivers = self._read()
        except SpecError as fault:
            log.error("the receivers stay as they were", reason=str(fault))
            return False
        for name in receivers.keys() & self._hooks.keys():
            log.error("a receiver is called like a post hook and is left out; rename it", name=name)
        self._receivers = receivers
        log.info("consumers", names=sorted(self.consumers))
        return True

    def _read(self) -> dict[str, Consumer]:
        if self._path is None:
            return {}
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as fault:
            raise SpecError(f"Hooks {self._path} cannot be read. Correct its rights and encoding.") from fault
        return {hook.name: hook for hook in parse_hooks(text, str(self._path)).receivers}


def _mark(path: Path | None) -> Mark:
    try:
        stat = os.stat(path) if path else None  # noqa: PTH116  # one call for both fields
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat else None
