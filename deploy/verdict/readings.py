"""What one metric says at a look, and the contract of a metric that several are judged by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Reading:
    """What a metric says after a look.

    Args:
        worse: The canary was found worse at this look; that stands.
        good: The gate of this step is open; None for a metric that opens none.
        holds: Something differs that is no harm by itself: nothing is promoted, nothing rolled back.
        statistic: Names and values of what was compared with the thresholds.
        interval: Ends of the interval, valid at every look, by what it is for.
        counts: What the numbers rest on.
        sentence: For people.
    """

    worse: bool
    good: bool | None
    sentence: str
    holds: bool = False
    statistic: Mapping[str, float] = field(default_factory=dict)
    interval: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)


class Metric(Protocol):
    """One metric on a plan, with what its looks left behind. A value: taking a look returns another one."""

    def take(self, look: Any) -> "Metric":
        """Take in one look; one without traffic in either arm is kept for the next, and never a pass."""

    def next_step(self) -> "Metric":
        """Start the next step of the plan: a new gate, while the guard keeps what it knows."""

    def reading(self) -> Reading:
        """Say what the looks so far show."""
