"""Which hundredth of the hash space belongs to which arm, so that a caller who is hashed never moves back.

A caller's hash is one of a hundred slots. Each challenger has a territory, an equal part of them, and grows in it from
one end; the champion has what is left. So while shares rise, slots go from the champion to challengers and never
between them: always for one or two challengers, and for n of them while each has at most an n-th of the requests.
(Three orders of slots cannot be pairwise each other's reverse, so nothing without a memory does better for all shares.)
"""

from collections.abc import Sequence
from itertools import groupby, pairwise

SLOTS = 100


def runs(percents: Sequence[int]) -> list[tuple[int, int]]:
    """Return arm (0 is the champion, 1 the first challenger) and width of each run of slots; widths sum to 100.

    Args:
        percents: Of each challenger (n_challengers,), 0 to 100, at most 100 in all.
    """
    owner = [0] * SLOTS
    territories = _territories(len(percents))
    for arm, (slots, percent) in enumerate(zip(territories, percents, strict=True), start=1):
        for slot in slots[:percent]:
            owner[slot] = arm
    for arm, (slots, percent) in enumerate(zip(territories, percents, strict=True), start=1):
        free = [slot for slot in _abroad(territories, arm - 1) if owner[slot] == 0]
        for slot in free[: max(percent - len(slots), 0)]:
            owner[slot] = arm
    return [(arm, len(list(run))) for arm, run in groupby(owner)]


def _territories(count: int) -> list[list[int]]:
    """Return each challenger's slots in the order in which it takes them: the first one's from the upper end down."""
    edges = [SLOTS - number * SLOTS // count for number in range(count + 1)] if count else []
    found = [list(range(low, high)) for high, low in pairwise(edges)]
    # Every second one grows upwards: two that meet at an edge would do so only when both are full.
    return [slots if number % 2 else slots[::-1] for number, slots in enumerate(found)]


def _abroad(territories: Sequence[Sequence[int]], mine: int) -> list[int]:
    """Return the slots of the others, those first that their owners would take last."""
    others = [
        (-depth, number, slot)
        for number, slots in enumerate(territories)
        for depth, slot in enumerate(slots)
        if number != mine
    ]
    return [slot for _, _, slot in sorted(others)]
