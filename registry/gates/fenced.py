"""What a candidate's code may reach while gates run it: the command that starts a program inside the fence."""

import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from registry.gates import fence

# Programs, libraries and what the kernel tells; no folder of users, services or this stack.
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/opt", "/nix", "/etc", "/proc", "/sys", "/dev")
WRITABLE = ("/dev/null", "/dev/shm", "/dev/tty")  # noqa: S108  # shared memory of the model's own processes


def fenced(command: list[str], *, read: Iterable[Path], write: Path) -> list[str]:
    """Return the command that starts `command` inside the fence.

    Args:
        command: An interpreter, by its path, and its arguments.
        read: Files and folders that it is given.
        write: The one folder in which it writes.
    """
    given = (*SYSTEM, *_interpreter(command[0]), *(str(path) for path in read))
    reads = [word for path in given for word in ("--read", path)]
    writes = [word for path in (*WRITABLE, str(write)) for word in ("--write", path)]
    return [sys.executable, "-I", "-S", str(fence.__file__), *reads, *writes, "--", *command]


@lru_cache(maxsize=8)
def _interpreter(python: str) -> tuple[str, ...]:
    """Return where an interpreter keeps itself and its libraries: its environment, and what that was made from."""
    own, real = Path(python).parent.parent, Path(os.path.realpath(python)).parent.parent
    here = (sys.prefix, sys.base_prefix) if python == sys.executable else ()
    return tuple(dict.fromkeys((str(own), str(real), *here)))
