"""Latency: the share of requests slower than the champion's p90 and p99, two thresholds fixed before the start.

Both, because p99 alone misses a uniform slow-down and p50 misses the tail. Each is a count like errors are, so that
the same guard carries it, with its part of α.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploy.verdict.guards import Guard
from deploy.verdict.looks import Look
from deploy.verdict.plan import tilt
from deploy.verdict.schedule import Schedule


@dataclass(frozen=True)
class Level:
    """One threshold.

    Args:
        seconds: A request that took longer is slow.
        part: Part of the metric's α (0 to 1); the parts of all levels sum to one.
        ratio: Ratio of the shares of slow requests that the plan wants to see.
        tolerance: Ratio of these shares that is no harm; 1 tolerates nothing.
    """

    seconds: float
    part: float
    ratio: float
    tolerance: float = 1.0


@dataclass(frozen=True)
class SlowLook:
    """Requests of both arms, by level: those that took longer are the look's errors."""

    levels: tuple[Look, ...]

    @property
    def is_fed(self) -> bool:
        """Both arms had traffic."""
        return all(look.is_fed for look in self.levels)

    def plus(self, other: "SlowLook") -> "SlowLook":
        """Add two looks."""
        return SlowLook(tuple(one.plus(two) for one, two in zip(self.levels, other.levels, strict=True)))


def levels(champion: Sequence[float]) -> tuple[Level, Level]:
    """Return p90 and p99 of the champion's durations (seconds), measured before the start.

    Raises:
        ValueError: Fewer than 100 durations say nothing of a p99.
    """
    if len(champion) < 100:
        raise ValueError(f"{len(champion)} durations of the champion are too few for its p99; at least 100 are needed.")
    ordered = sorted(champion)
    p90, p99 = (ordered[math.ceil(part * len(ordered)) - 1] for part in (0.9, 0.99))
    return split(p90, p99)


def split(p90: float, p99: float, tolerance: float = 1.0) -> tuple[Level, Level]:
    """Return the levels of two thresholds (seconds), with the parts of α of METHODS, "Several guards"."""
    # A tenth of all requests exceeds p90: many counts, so a smaller ratio is seen.
    return Level(p90, 1 / 3, 1.5 * tolerance, tolerance), Level(p99, 2 / 3, 2.0 * tolerance, tolerance)


def slow(found: tuple[Level, ...], canary: Sequence[float], baseline: Sequence[float]) -> SlowLook:
    """Count the slow requests of one look, whose durations are in seconds."""
    return SlowLook(
        tuple(
            Look(len(canary), _over(level, canary), len(baseline), _over(level, baseline))  # by its arms' requests
            for level in found
        )
    )


@dataclass(frozen=True)
class Exceedance:
    """One guard a level, after some looks."""

    guards: tuple[Guard, ...]

    def take(
        self, found: tuple[Level, ...], look: SlowLook, schedules: Sequence[Schedule], *, alpha: float
    ) -> tuple["Exceedance", bool]:
        """Take one look.

        Args:
            found: The levels, fixed before the start.
            look: Requests by level, with traffic in both arms.
            schedules: How each level spends its part of α.
            alpha: The metric's α, which its levels share.

        Returns:
            The next state, and whether the canary is found slower at some level.
        """
        taken = [
            guard.take(
                counts.canary_errors,
                counts.baseline_errors,
                # At any ratio up to the tolerance the canary has at most this part of the slow ones.
                tilt(counts.share, level.tolerance),
                alpha=alpha * level.part,
                schedule=schedule,
                requests=counts.requests,
            )
            for guard, level, counts, schedule in zip(self.guards, found, look.levels, schedules, strict=True)
        ]
        return Exceedance(tuple(guard for guard, _ in taken)), any(worse for _, worse in taken)

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain JSON values."""
        return [guard.to_json() for guard in self.guards]

    @classmethod
    def from_json(cls, body: list[dict[str, Any]]) -> "Exceedance":
        """Read what `to_json` wrote."""
        return cls(tuple(Guard.from_json(guard) for guard in body))


def fresh(found: tuple[Level, ...]) -> Exceedance:
    """Return the state before the first look."""
    return Exceedance((Guard(),) * len(found))


def _over(level: Level, durations: Sequence[float]) -> int:
    return sum(duration > level.seconds for duration in durations)
