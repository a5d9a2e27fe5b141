"""What agents had counted a minute ago, so that `flywheel status` can tell of the last minute without waiting for one.

Agents count since their start, and who asks once sees only that. The exporter asks them every few seconds anyway, and
leaves a reading in HOME/run/traffic.json.
"""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from deploy.local.places import Places
from deploy.status.page import Page, Traffic
from deploy.status.reading import Reading, agent_pages
from flywheel.connections import write_private
from flywheel.errors import FlywheelError
from flywheel.settings import Settings

MINUTE = 60.0
# A reading that is older was left by an exporter that has ended.
OLDEST_SECONDS = 2 * MINUTE

log = structlog.get_logger()


class Recent:
    """The last minute's readings of one home.

    Args:
        settings: Whose home.
        clock: Gives seconds since 1970.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._readings: deque[Reading] = deque()

    def look(self) -> None:
        """Ask all agents, and leave the youngest reading that is a minute old, or the oldest that there is."""
        try:
            places = Places(self._settings.root / "run" / "serving.json").read().values()
            pages, _ = agent_pages(self._settings, places)
            self._readings.append(Reading(self._clock(), pages))
            while len(self._readings) > 1 and self._readings[1].at <= self._clock() - MINUTE:
                self._readings.popleft()
            write_private(_path(self._settings), json.dumps(_document(self._readings[0])))
        except (FlywheelError, OSError) as fault:
            log.warning("recent traffic unknown", reason=str(fault))


def minute_ago(settings: Settings, now: float) -> Reading | None:
    """Return the reading of about a minute ago (`now`: seconds since 1970); None where there is none that young."""
    try:
        reading = _reading(json.loads(_path(settings).read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return reading if now - OLDEST_SECONDS <= reading.at < now else None


def _path(settings: Settings) -> Path:
    return settings.root / "run" / "traffic.json"


def _document(reading: Reading) -> dict[str, Any]:
    return {"at": reading.at, "pages": {name: asdict(page) for name, page in reading.pages.items()}}


def _reading(document: dict[str, Any]) -> Reading:
    return Reading(float(document["at"]), {name: _page(values) for name, values in document["pages"].items()})


def _page(values: dict[str, Any]) -> Page:
    arms = {arm: _traffic(one) for arm, one in values["arms"].items()}
    return Page(float(values["started"]), bool(values["ready"]), float(values["queue_rows"]), arms)


def _traffic(values: dict[str, Any]) -> Traffic:
    within = {float(bound): float(count) for bound, count in values["within"].items()}
    return Traffic(float(values["requests"]), float(values["errors"]), within)
