"""What is fixed before the start, and how much evidence it plans for."""

import math
from dataclasses import dataclass
from functools import cached_property

# The ratio of error rates that the plan wants to see with 95 % power; it sets how fast error may be spent.
PLANNED_RATIO = 2.0
NORMAL_95 = 1.645


@dataclass(frozen=True)
class Plan:
    """What is fixed before the start.

    Args:
        steps: Percent of requests that go to the canary, by step.
        margin: Largest tolerated rise of the error rate, absolute (0 to 1).
        alpha: Probability of rolling back a canary that is as good as the champion, and of promoting one that is
            worse by the margin.
    """

    steps: tuple[int, ...]
    margin: float = 0.01
    alpha: float = 0.05

    @cached_property
    def planned_errors(self) -> float:
        """Errors of both arms over all steps after which the guard's share of α has been spent."""
        return planned_counts(self.steps)


def planned_counts(steps: tuple[int, ...], ratio: float = PLANNED_RATIO) -> float:
    """Return the bad counts of both arms, over all steps, with which `ratio` is told from 1 at each step."""
    return sum(_counts_needed(percent / 100, ratio) for percent in steps)


def tilt(share: float, ratio: float) -> float:
    """Return the canary's share of all errors when its error rate is `ratio` times the champion's."""
    return ratio * share / (ratio * share + 1 - share)


def _counts_needed(share: float, ratio: float) -> float:
    """Bad counts of both arms with which `ratio` is told from 1 at 5 % and 95 % (METHODS, "Promotion": K_s)."""
    shifted = tilt(share, ratio)
    spread = math.sqrt(shifted * (1 - shifted)) + math.sqrt(share * (1 - share))
    return 1.15 * (NORMAL_95 * spread / (shifted - share)) ** 2
