"""How much evidence a plan reckons with, and what share of the errors a ratio of error rates gives."""

import math

# The ratio of error rates that the plan wants to see with 95 % power; it sets how fast error may be spent.
PLANNED_RATIO = 2.0
NORMAL_95 = 1.645


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
