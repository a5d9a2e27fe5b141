"""Waiting longer and longer while something is away, and saying so once at the beginning and once at the end."""

import random

import structlog

from deploy.log.clock import Clock

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0

log = structlog.get_logger()


class Backoff:
    """When one thing is tried again: after 1 s, 2 s, 4 s … at most 60 s, each up to a half shorter by chance.

    So shippers of many nodes do not come back to a store at the same moment.
    """

    def __init__(self, what: str, clock: Clock, chance: random.Random) -> None:
        self._what = what
        self._clock = clock
        self._chance = chance
        self._faults = 0
        self._since = self._due = 0.0

    def is_due(self) -> bool:
        """Say whether it may be tried now."""
        return not self._faults or self._clock.now() >= self._due

    def failed(self, reason: Exception) -> None:
        """Wait longer than the last time; the first fault is logged."""
        now = self._clock.now()
        if not self._faults:
            self._since = now
            log.error("not shipped, and tried again until it is", what=self._what, reason=str(reason))
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(self._faults, 10))
        self._due = now + longest * (1 - self._chance.random() / 2)
        self._faults += 1

    def succeeded(self) -> None:
        """Wait no more; the end of the faults is logged."""
        if self._faults:
            away = self._clock.now() - self._since
            log.warning("shipped again", what=self._what, faults=self._faults, seconds=round(away, 1))
        self._faults = 0
