"""The recorder: which processes this home has started, so that all of them can be ended whatever happened since.

A process is known by its number and its start time (ticks since boot), because numbers are used again. Its children
carry the same pair in their environment (`MARK`), which finds them after their parent died. Standard library only:
`launch` runs this before every program.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

MARK = "FLYWHEEL_RECORD"


@dataclass(frozen=True)
class Record:
    """One started process; `stop` names the signal that ends it in good order."""

    name: str
    pid: int
    started: int
    stop: str = "TERM"

    @property
    def mark(self) -> str:
        """What its children carry in their environment."""
        return f"{self.pid}:{self.started}"


def records_path(home: Path) -> Path:
    """Return the file of records."""
    return home / "run" / "processes.jsonl"


def recorded_command(home: Path, name: str, command: list[str], *, user: str | None = None) -> list[str]:
    """Return the command that records itself under `name` in this home and then, as `user`, becomes `command`."""
    drop = [f"--user={user}"] if user else []
    return [sys.executable, "-m", "flywheel.stack.launch", name, "--home", str(home), *drop, "--", *command]


def started_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None when it has ended (a zombie has)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before may hold spaces and brackets
    return None if fields[0] in "ZX" else int(fields[19])


def record(home: Path, name: str, *, pid: int | None = None, stop: str = "TERM") -> Record:
    """Record a process, the calling one by default, in this home."""
    pid = pid or os.getpid()
    entry = Record(name, pid, started_ticks(pid) or 0, stop)
    path = records_path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:  # one short write in append mode is atomic
        file.write(json.dumps(asdict(entry)) + "\n")
    return entry


def read_records(home: Path) -> list[Record]:
    """Read all records; a torn last line, as a power loss leaves it, is passed over."""
    try:
        lines = records_path(home).read_text().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            found.append(Record(entry["name"], int(entry["pid"]), int(entry["started"]), entry.get("stop", "TERM")))
    return found


def living(home: Path) -> list[Record]:
    """Return every process of this home that runs now: the recorded ones and those that descend from them."""
    records = read_records(home)
    recorded = {(entry.pid, entry.started): entry for entry in records}
    marked = {entry.mark: entry for entry in records}
    spared = set(_lineage(os.getpid()))
    found = []
    for pid in _all_pids():
        started = started_ticks(pid)
        if started is None or pid in spared:
            continue
        owner = recorded.get((pid, started)) or marked.get(_mark_of(pid))
        if owner is not None and started >= owner.started:
            found.append(Record(owner.name, pid, started, owner.stop))
    return found


def end_leftovers(home: Path, *, patience: float = 10.0) -> list[Record]:
    """End every process of this home, politely first, and forget the records.

    Args:
        home: The home folder.
        patience: Seconds between the polite signal and the killing one.

    Returns:
        The processes that were found alive.
    """
    ended: dict[tuple[int, int], Record] = {}
    kill_at = time.monotonic() + patience
    while left := living(home):
        killing = time.monotonic() > kill_at
        for entry in left:
            if killing or (entry.pid, entry.started) not in ended:
                _signal(entry, "KILL" if killing else entry.stop)
            ended[entry.pid, entry.started] = entry
        time.sleep(0.05)
    for entry in read_records(home):
        reap(entry.pid)
    records_path(home).unlink(missing_ok=True)
    return list(ended.values())


def reap(pid: int) -> None:
    """Collect a child of the calling process that has ended, if it is one."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _signal(entry: Record, name: str) -> None:
    if started_ticks(entry.pid) != entry.started:  # the number may have passed to somebody else just now
        return
    with suppress(ProcessLookupError):
        os.kill(entry.pid, signal.Signals[f"SIG{name}"])


def _all_pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _mark_of(pid: int) -> str:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # ended, or another user's
        return ""
    prefix = f"{MARK}=".encode()
    return next((word[len(prefix) :].decode() for word in environment.split(b"\0") if word.startswith(prefix)), "")


def _lineage(pid: int) -> Iterator[int]:
    """Yield a process and its ancestors: nobody ends the command that does the ending."""
    while pid > 0:
        yield pid
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        pid = int(stat[stat.rindex(")") + 2 :].split()[1])
