"""Where an interval lies on a small drawing: places in percent of its width, zero in the middle or at an end."""

from collections.abc import Iterable
from dataclasses import dataclass

from registry.review.comparison import Measured

MARGIN = 6.0  # percent left free at both ends


@dataclass(frozen=True)
class Bar:
    """Places from 0 to 100 from the left; `low` and `high` are those of the value without an interval."""

    low: float
    value: float
    high: float
    zero: float | None = None

    @property
    def width(self) -> float:
        """Of the interval; never so small that nothing is seen."""
        return max(self.high - self.low, 0.5)


def around_zero(found: Measured) -> Bar:
    """Place a difference: zero in the middle, the farther end at the margin."""
    low, high = _ends(found)
    reach = max(abs(low), abs(high), abs(found.value)) or 1.0

    def place(value: float) -> float:
        return round(50 + value / reach * (50 - MARGIN), 2)

    return Bar(place(low), place(found.value), place(high), 50.0)


def side_by_side(found: Iterable[Measured | None]) -> list[Bar | None]:
    """Place several figures on one scale, from the least end to the largest."""
    rows = list(found)
    ends = [end for one in rows if one is not None for end in _ends(one)]
    if not ends:
        return [None for _ in rows]
    least, span = min(ends), (max(ends) - min(ends)) or 1.0

    def place(value: float) -> float:
        return round(MARGIN + (value - least) / span * (100 - 2 * MARGIN), 2)

    return [None if one is None else Bar(place(_ends(one)[0]), place(one.value), place(_ends(one)[1])) for one in rows]


def _ends(found: Measured) -> tuple[float, float]:
    if found.low is None or found.high is None:
        return found.value, found.value
    return found.low, found.high
