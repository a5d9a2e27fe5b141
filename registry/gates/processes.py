"""Processes of the machine as /proc shows them: who descends from whom, and how much memory they take together."""

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

MEGABYTE = 1_000_000
SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def descendants(pid: int) -> list[int]:
    """Return a process and all that descend from it, itself first; those that have ended are left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(int(entry.name))) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, place = ([pid] if _parent(pid) is not None else []), 0
    while place < len(found):
        found += children.get(found[place], [])
        place += 1
    return found


def memory_mb(pid: int) -> float:
    """Return the memory of a process and its descendants in MB (10⁶ bytes), pages that they share counted once.

    It is the proportional set size; where the kernel does not tell it, the resident size, which counts shared pages
    once a process.
    """
    return sum(_bytes(one) for one in descendants(pid)) / MEGABYTE


def end_tree(pid: int) -> None:
    """Kill a process and all that descend from it; with them the group that it leads, if it leads one."""
    found = descendants(pid)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    for one in found:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def adopt_orphans() -> None:
    """Have whatever descends from this process stay its descendant, also when what started it has ended."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children(pid: int) -> None:
    """Kill all that descend from a process, and not itself."""
    for one in descendants(pid)[1:]:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before may hold spaces and brackets
    return None if fields[0] in "ZX" else int(fields[1])


def _bytes(pid: int) -> int:
    for file, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
                if line.startswith(field):
                    return int(line.split()[1]) * 1024
    return 0
