"""Where the values of one parameter lie on their axis, from 0 to 1, and what is written beside it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from training.evaluation.plots.canvas import shorten
from training.families.protocol import Value

LOGARITHMIC = 20  # largest over smallest from which on an axis is logarithmic
MOST_NAMES = 6


@dataclass(frozen=True)
class Scale:
    """An axis: `find` gives a value's height, `ticks` what is written where."""

    NOT_SET: ClassVar[float] = -0.22

    find: Callable[[Value], float]
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: Value | None) -> float:
        """Return a value's height, 0 to 1; below the axis when it is not set."""
        return self.NOT_SET if value is None else self.find(value)

    @classmethod
    def linear(cls, low: float, high: float) -> "Scale":
        """Make an axis of evenly spaced numbers; what lies beyond is drawn at its end."""
        return cls(lambda value: _clip((float(value) - low) / (high - low)), ((0.0, _show(low)), (1.0, _show(high))))

    @classmethod
    def logarithmic(cls, low: float, high: float) -> "Scale":
        """Make an axis of numbers whose ratios count."""
        span = math.log(high / low)
        middle = math.sqrt(low * high)
        ticks = ((0.0, _show(low)), (0.5, _show(middle)), (1.0, _show(high)))
        return cls(lambda value: _clip(math.log(float(value) / low) / span), ticks)

    @classmethod
    def names(cls, values: Sequence[str]) -> "Scale":
        """Make an axis of names, evenly spaced; of many only some are written."""
        last = max(1, len(values) - 1)
        heights = {name: 0.5 if len(values) == 1 else index / last for index, name in enumerate(values)}
        step = math.ceil(len(values) / MOST_NAMES)
        written = [(heights[name], shorten(name, 14)) for name in values[::step]]
        return cls(lambda value: heights[str(value)], tuple(written))


def make_scale(values: Sequence[Value | None]) -> Scale:
    """Choose an axis for a parameter's values; None is a trial that does not have it."""
    known = [value for value in values if value is not None]
    numbers = [float(value) for value in known if not isinstance(value, (bool, str))]
    if len(numbers) < len(known):
        return Scale.names(sorted({str(value) for value in known}))
    low, high = min(numbers), max(numbers)
    if low == high:
        return Scale(lambda value: 0.5, ((0.5, _show(low)),))
    if low > 0 and high / low >= LOGARITHMIC:
        return Scale.logarithmic(low, high)
    return Scale.linear(low, high)


def _clip(height: float) -> float:
    return min(1.0, max(0.0, height))


def _show(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 10_000 else f"{value:,.0f}"
