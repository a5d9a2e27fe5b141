"""What a look leaves for the next: what it found, and until when another would find the same in the same log.

A look reads months of rows, and most looks by hand come minutes after another. So the next one first asks whether
anything that a look depends on has changed: the log, the packages, the use case, windows and trainings on record; and
whether a moment has come at which the same rows say more, because a day, a window or a label's delay is over. Where
nothing has, it tells again what was found. In doubt it looks. (That some of the newest rows grow too old to be among
them, and none come, is no news.)
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flywheel import __version__
from flywheel.events import EVENTS, EventKind

FORMAT = 2
TABLES = ("predictions", "requests", "outcomes")
EPOCH = datetime(1970, 1, 1)  # a multiple of every block's length
# What other commands record, and what a look's findings depend on.
DEPENDED_ON = (
    EventKind.MONITOR_LOOK,
    EventKind.MONITOR_WINDOW,
    EventKind.RETRAIN_STARTED,
    EventKind.RETRAIN_FINISHED,
)


@dataclass(frozen=True)
class Kept:
    """One look.

    Attributes:
        looked: When it was made (UTC).
        as_of: What was known then was used (naive UTC).
        until: From when on the same log may say more; None: never.
        made_of: What `made_of` returned before it read anything.
        seq: The last event it depends on.
        since: From when on windows were due (naive UTC), where that was asked for.
        decided: Whether it decided about training.
        body: What it found, as plain JSON.
    """

    looked: datetime
    as_of: datetime
    until: datetime | None
    made_of: str
    seq: int
    since: datetime | None
    decided: bool
    body: dict[str, Any]


def made_of(home: Path, use_case: str, file: Path) -> str:
    """Return a digest of all files that a look at a use case reads: of their names, sizes and times, read none.

    Args:
        home: The home folder.
        use_case: Its name.
        file: Its usecase.yaml, the only one that is read.
    """
    found = hashlib.sha256(f"{FORMAT} {__version__} {file.resolve()}".encode())
    found.update(file.read_bytes())
    commits = [path for table in TABLES for path in (home / "log" / use_case / table / "_delta_log").glob("*")]
    packages = sorted((home / "packages" / use_case).rglob("*"))
    for path in [*sorted(commits), *packages, *sorted(home.glob("*.pub"))]:
        state = path.stat()
        found.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return found.hexdigest()


def next_moment(
    as_of: datetime, newest: datetime, grids: Iterable[tuple[timedelta, datetime, timedelta]]
) -> datetime | None:
    """Return when blocks or windows of rows up to `newest` are over that were not at `as_of`; None: all are.

    Args:
        as_of: Naive UTC.
        newest: The newest row's event time (naive UTC).
        grids: Of each a length, a moment at which one begins, and how long after its end it counts.
    """
    moments = []
    for length, origin, delay in grids:
        last = origin + ((newest - origin) // length + 1) * length + delay  # the end of the one with the newest row
        following = origin + ((as_of - delay - origin) // length + 1) * length + delay
        if following <= last:
            moments.append(following)
    return min(moments, default=None)


def last_seq(connection: sa.Connection, use_case: str) -> int:
    """Return the number of the last event that a look at a use case depends on, 0 without any."""
    query = sa.select(sa.func.max(EVENTS.c.seq)).where(
        EVENTS.c.subject == use_case, EVENTS.c.kind.in_([str(kind) for kind in DEPENDED_ON])
    )
    return connection.scalar(query) or 0


def path_of(home: Path, use_case: str) -> Path:
    """Return where the last look at a use case is kept."""
    return home / "monitoring" / use_case / "look.json"


def keep(path: Path, look: Kept) -> None:
    """Keep a look.

    Raises:
        OSError: The disk takes nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(asdict(look), default=datetime.isoformat))
    new.replace(path)


def read_kept(path: Path) -> Kept | None:
    """Return the look that was kept; None where there is none, or none that can be read."""
    try:
        said = json.loads(path.read_text())
        times = {name: _time(said[name]) for name in ("looked", "as_of", "until", "since")}
        return Kept(**{**said, **times})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _time(said: str | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said)


def holds(kept: Kept, *, as_of: datetime, since: datetime | None, decides: bool) -> bool:
    """Say whether a look at another time, of the same files and events, would find what this one found."""
    in_time = kept.as_of <= as_of and (kept.until is None or as_of < kept.until)
    return in_time and kept.since == since and (kept.decided or not decides)
