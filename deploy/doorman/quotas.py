"""How many requests a client has made today (UTC), kept so that neither a restart nor `kill -9` forgets them.

Counts are written ahead in steps: the file says up to where a client was let, memory where it is. So a crash costs a
client at most one step of its day (a hundredth of its quota, 100 requests at most) and never gives it more than it has.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import structlog

from flywheel.connections import write_private

log = structlog.get_logger(__name__)
MOST_STEP = 100


@dataclass
class Count:
    """Requests of one client: made, and reserved in the file."""

    made: int = 0
    reserved: int = 0


class Quotas:
    """Counts of one day. Not for several threads.

    Args:
        path: The file.
        clock: Time, with zone.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path, self._clock = path, clock
        self._day, self._counts = _load(path)

    def take(self, client: str, limit: int) -> bool:
        """Count one request; say whether it is within `limit` a day."""
        day = self._clock().astimezone(UTC).date().isoformat()
        if day != self._day:
            self._day, self._counts = day, {}
        count = self._counts.setdefault(client, Count())
        if count.made >= limit:
            return False
        count.made += 1
        if count.made > count.reserved:
            count.reserved = min(count.made - 1 + step(limit), limit)
            self._save()
        return True

    def seconds_left(self) -> int:
        """Return how long the day still lasts."""
        now = self._clock().astimezone(UTC)
        midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        return int((midnight - now).total_seconds()) + 1

    def close(self) -> None:
        """Write exact counts, so that an orderly end costs nobody anything."""
        for count in self._counts.values():
            count.reserved = count.made
        self._save()

    def _save(self) -> None:
        counts = {client: count.reserved for client, count in self._counts.items()}
        try:
            write_private(self._path, json.dumps({"day": self._day, "counts": counts}))
        except OSError as fault:  # a full disk must not close the door; until it has room a crash forgets the last step
            log.error("quotas cannot be written", path=str(self._path), fault=str(fault))


def step(limit: int) -> int:
    """Return how many requests are written ahead."""
    return max(1, min(MOST_STEP, limit // 100))


def _load(path: Path) -> tuple[str, dict[str, Count]]:
    try:
        document = json.loads(path.read_text())
        return str(document["day"]), {name: Count(int(n), int(n)) for name, n in document["counts"].items()}
    except FileNotFoundError:
        return "", {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        log.error("quotas cannot be read; today's counts start anew", path=str(path), fault=str(fault))
        return "", {}
