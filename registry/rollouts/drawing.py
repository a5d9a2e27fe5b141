"""Numbers to coordinates: a plot is 1000 by 1000 and stretched to its place, labels stand in percent. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SIZE = 1000.0
Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`; both in logarithms to base 10 where `log`."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, 0 to SIZE; what is outside lies on the edge."""
        if self.log:
            value = math.log10(value) if value > 0 else self.low
        part = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return round(min(max(part, 0.0), 1.0) * SIZE, 1)

    def percent(self, value: float, *, upwards: bool = False) -> float:
        """Return where a value lies in percent; from the top when it grows upwards."""
        part = self.place(value) / SIZE * 100
        return round(100 - part if upwards else part, 2)


@dataclass(frozen=True)
class Tick:
    """A label at a place in percent of the width, or of the height from the top."""

    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """One curve: its role is its class, its label stands in the legend, its path in the plot."""

    role: str
    label: str
    path: str


@dataclass(frozen=True)
class Chart:
    """A picture.

    Args:
        title: What it shows.
        told: The same in words, for those who do not see it.
        lines: The curves, in the order of the legend.
        levels: Labels of the vertical axis.
        stops: Where steps begin, and how they are called.
        ends: Labels of the horizontal axis: its first and its last moment.
    """

    title: str
    told: str
    lines: Sequence[Line]
    levels: Sequence[Tick]
    stops: Sequence[Tick]
    ends: tuple[str, str]


def path(stretches: Iterable[Sequence[Point]], across: Axis, up: Axis) -> str:
    """Return an SVG path with a curve for each stretch; a sole point becomes a short dash."""
    parts = []
    for stretch in stretches:
        placed = [(across.place(x), SIZE - up.place(y)) for x, y in stretch]
        if len(placed) == 1:
            x, y = placed[0]
            placed = [(max(x - 6, 0.0), y), (min(x + 6, SIZE), y)]
        if placed:
            parts.append("M" + "L".join(f"{x:g} {y:g}" for x, y in placed))
    return "".join(parts)


def stairs(points: Sequence[Point], until: float) -> list[Point]:
    """Return the corners of a value that stays as it is until it jumps.

    Args:
        points: When it became what, in order of time.
        until: The end of the last stair.
    """
    corners: list[Point] = []
    for (x, y), following in zip(points, [*(x for x, _ in points[1:]), until], strict=True):
        corners += [(x, y), (following, y)]
    return corners


def area(corners: Sequence[Point], across: Axis, up: Axis) -> str:
    """Return an SVG path that fills what lies below a curve."""
    if not corners:
        return ""
    (first, _), (last, _) = corners[0], corners[-1]
    return path([[(first, up.low), *corners, (last, up.low)]], across, up) + "Z"


def powers(low: float, high: float) -> list[float]:
    """Return powers of ten between two logarithms, at most five of them and 1 among them where it lies there."""
    gap = max(1, math.ceil((high - low) / 4.5))
    return [10.0**power for power in range(math.ceil(low), math.floor(high) + 1) if power % gap == 0]


def rounds(high: float) -> list[float]:
    """Return round numbers from 0 to `high`, at most five."""
    if high <= 0:
        return [0.0]
    raw = high / 4
    unit = 10.0 ** math.floor(math.log10(raw))
    gap = next(unit * many for many in (1, 2, 5, 10) if unit * many >= raw)
    return [gap * number for number in range(int(high / gap) + 1)]
