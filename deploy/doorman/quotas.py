"""How many requests a client has made today (UTC), kept so that neither a restart nor `kill -9` forgets them.

Counts are written ahead in steps: the file says up to where a client was let, memory where it is. So a crash costs a
client at most one step of its day (a hundredth of its quota, 100 requests at most) and never gives it more than it has;
loss of power may forget the last seconds. A step is one line more, and now and then the file is written anew.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import structlog

from flywheel.connections import write_private

log = structlog.get_logger(__name__)
MOST_STEP = 100
# Without auth a client is an address, of which there are many: beyond these all count as one.
MOST_CLIENTS, OTHERS = 100_000, "others"
# Lines after which the file is written anew: so many, and so many a client.
MOST_LINES, STEPS_KEPT = 10_000, 10
ANEW = sys.maxsize


@dataclass
class Count:
    """Requests of one client: made, and reserved in the file."""

    made: int = 0
    reserved: int = 0


class Quotas:
    """Counts of one day. Not for several threads.

    Args:
        path: The file: a line with the day, then one a step.
        clock: Time, with zone.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path, self._clock = path, clock
        self._day, self._counts = _load(path)
        self._lines = ANEW

    def take(self, client: str, limit: int) -> bool:
        """Count one request; say whether it is within `limit` a day."""
        day = self._clock().astimezone(UTC).date().isoformat()
        if day != self._day:
            self._day, self._counts, self._lines = day, {}, ANEW
        if client not in self._counts and len(self._counts) >= MOST_CLIENTS:
            client = OTHERS
        count = self._counts.setdefault(client, Count())
        if count.made >= limit:
            return False
        count.made += 1
        if count.made > count.reserved:
            count.reserved = min(count.made - 1 + step(limit), limit)
            self._keep(client, count.reserved)
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
        self._write_anew()

    def _keep(self, client: str, reserved: int) -> None:
        if self._lines >= MOST_LINES + STEPS_KEPT * len(self._counts):
            self._write_anew()
            return
        try:
            with self._path.open("a") as file:
                file.write(_line(client, reserved))
            self._lines += 1
        except OSError as fault:
            self._tell(fault)

    def _write_anew(self) -> None:
        lines = [json.dumps({"day": self._day}) + "\n"]
        lines += [_line(client, count.reserved) for client, count in self._counts.items()]
        try:
            write_private(self._path, "".join(lines))
            self._lines = len(lines)
        except OSError as fault:
            self._tell(fault)

    def _tell(self, fault: OSError) -> None:
        """A full disk must not close the door; until it has room a crash forgets the last steps."""
        self._lines = ANEW  # a line may be torn
        log.error("quotas cannot be written", path=str(self._path), fault=str(fault))


def step(limit: int) -> int:
    """Return how many requests are written ahead."""
    return max(1, min(MOST_STEP, limit // 100))


def _line(client: str, reserved: int) -> str:
    return json.dumps([client, reserved]) + "\n"


def _load(path: Path) -> tuple[str, dict[str, Count]]:
    try:
        first, *lines = path.read_text().splitlines(keepends=True)
        # A last line without its end was not written whole: nobody was let as far as it says.
        steps = [json.loads(line) for line in lines if line.endswith("\n")]
        return str(json.loads(first)["day"]), {str(name): Count(int(n), int(n)) for name, n in steps}
    except FileNotFoundError:
        return "", {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        log.error("quotas cannot be read; today's counts start anew", path=str(path), fault=str(fault))
        return "", {}
