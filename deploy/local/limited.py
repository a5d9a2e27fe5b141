"""Runs a program within limits: cores, priority, and memory, over which it is killed. Standard library only.

    python -I limited.py --part worker --name NAME [--nice N] [--cpus N] [--memory-mb N] -- CMD…

Memory is looked at, not forbidden. Measured: ONNX Runtime and Polars in one process take 46 MB that they cannot give
back, and fail below 400 MB of RLIMIT_DATA and below 1,200 MB of RLIMIT_AS, for they reserve much more; what they say
then is "memory allocation of 1 bytes failed". So twice a second it is seen what the program and its descendants cannot
give back (anonymous and shared pages); a burst may pass the limit for a moment.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

PERIOD_SECONDS = 0.5
KILLED = 137  # as a shell says of a program that SIGKILL ended
OVER = "Killed at its limit: "
COUNTED = ("RssAnon:", "RssShmem:")


def main(arguments: Sequence[str] | None = None) -> int:
    """Become the command, or run it and watch its memory; return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    cut = words.index("--")
    parser = argparse.ArgumentParser(prog="limited.py", description="Run a program within limits.")
    parser.add_argument("--part", required=True, help="agent or worker, as serving.yaml says")
    parser.add_argument("--name", required=True, help="of the program; it decides which cores it gets")
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--cpus", type=int)
    parser.add_argument("--memory-mb", type=int)
    options, command = parser.parse_args(words[:cut]), words[cut + 1 :]
    os.nice(options.nice)
    if options.cpus:
        os.sched_setaffinity(0, cores(options.name, options.cpus, os.sched_getaffinity(0)))
    if options.memory_mb is None:
        os.execvp(command[0], command)  # noqa: S606  # no shell is wanted
    return watched(command, options.memory_mb, options.part)


def cores(name: str, count: int, allowed: set[int]) -> set[int]:
    """Choose `count` of the allowed cores, neighbours from one that the name decides, so that programs spread."""
    there = sorted(allowed)
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % len(there)
    return {there[(first + offset) % len(there)] for offset in range(min(count, len(there)))}


def watched(command: list[str], memory_mb: int, part: str) -> int:
    """Run a command and kill it with all its descendants once they take more than `memory_mb`."""
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda which, _: child.send_signal(which))
    while True:
        try:
            return _code(child.wait(PERIOD_SECONDS))
        except subprocess.TimeoutExpired:
            family = [child.pid, *descendants(child.pid)]
            taken = sum(memory_kb(pid) for pid in family) // 1024
        if taken > memory_mb:
            for pid in family:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.wait()
            limit = f"resources.{part}.memory_mb in serving.yaml allows {memory_mb} MB"
            sys.stderr.write(f"{OVER}it took {taken} MB, and {limit}.\n")
            return KILLED


def descendants(pid: int) -> list[int]:
    """Return all processes below this one."""
    children: dict[int, list[int]] = {}
    for one, parent in _parents():
        children.setdefault(parent, []).append(one)
    found, waiting = list[int](), [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def memory_kb(pid: int) -> int:
    """Return what a process cannot give back, in kB; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(COUNTED))


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                yield int(entry.name), int(stat[stat.rindex(")") + 2 :].split()[1])


def _code(ended: int) -> int:
    return 128 - ended if ended < 0 else ended


if __name__ == "__main__":
    sys.exit(main())
