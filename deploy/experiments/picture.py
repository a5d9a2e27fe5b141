"""The interval of each arm's gain over time, as an SVG whose colours the page's style gives, in light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from deploy.experiments import words
from deploy.experiments.report import Report, Step

LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 36
# The first intervals are very wide; the picture ends at so many times the last ones, and cuts what is beyond.
ROOM = 4.0


@dataclass(frozen=True)
class Frame:
    """What the picture's corners stand for, and its size."""

    first: float
    last: float
    low: float
    high: float
    width: int
    height: int

    def x(self, value: float) -> float:
        """Return the place of a time or a number of units."""
        return LEFT + (value - self.first) / (self.last - self.first) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return the place of a gain, at the edge where it is beyond."""
        cut = min(max(value, self.low), self.high)
        return TOP + (self.high - cut) / (self.high - self.low) * (self.height - TOP - BOTTOM)


def picture(report: Report, width: int, height: int) -> str:
    """Draw the report's path; empty where fewer than two looks know anything."""
    steps = [step for step in report.path if math.isfinite(step.arms[1].gain.high)]
    if len(steps) < 2 or _place(steps[0]) == _place(steps[-1]):
        return ""
    margin, title = (
        report.plan.metric.margin,
        f"Gain in {report.plan.metric.name} a unit, with its interval at each look",
    )
    frame = Frame(_place(steps[0]), _place(steps[-1]), *_reach(steps, margin), width, height)
    bands = (_band(steps, number, frame) for number in range(1, len(steps[0].arms)))
    along = "days since the start" if steps[0].days is not None else "measured units"
    below = f'<text x="{(LEFT + width - RIGHT) / 2}" y="{height - 4}" text-anchor="middle">{along}</text>'
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, *_grid(frame), *bands, *_marks(frame, margin), below, "</svg>"])


def _place(step: Step) -> float:
    return step.units if step.days is None else step.days


def _reach(steps: Sequence[Step], margin: float) -> tuple[float, float]:
    """Return the lowest and the highest gain that the picture shows."""
    first, last = ([one.gain for one in step.arms[1:]] for step in (steps[0], steps[-1]))
    low, high = min(0.0, *(one.low for one in last)), max(margin, *(one.high for one in last))
    room = (high - low) * (ROOM - 1) / 2
    return (
        max(low - room, min(0.0, *(one.low for one in first))),
        min(high + room, max(margin, *(one.high for one in first))),
    )


def _band(steps: Sequence[Step], number: int, frame: Frame) -> str:
    gains = [(frame.x(_place(step)), step.arms[number].gain) for step in steps]
    upper = [f"{x:.1f},{frame.y(gain.high):.1f}" for x, gain in gains]
    lower = [f"{x:.1f},{frame.y(gain.low):.1f}" for x, gain in reversed(gains)]
    middle = " ".join(f"{x:.1f},{frame.y(gain.estimate):.1f}" for x, gain in gains)
    colour = f"arm{(number - 1) % 4}"
    return (
        f'<polygon class="band {colour}" points="{" ".join(upper + lower)}"/>'
        f'<polyline class="line {colour}" points="{middle}"/>'
    )


def _grid(frame: Frame) -> list[str]:
    lines = []
    for value in ticks(frame.low, frame.high, 5):
        y = frame.y(value)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{frame.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(words.tick(value))}</text>')
    for value in ticks(frame.first, frame.last, frame.width // 80):
        x = frame.x(value)
        lines.append(
            f'<text x="{x:.1f}" y="{frame.height - BOTTOM + 16}" text-anchor="middle">{words.tick(value)}</text>'
        )
    return lines


def _marks(frame: Frame, margin: float) -> list[str]:
    marks = [("zero", 0.0, "")] + ([("margin", margin, "margin")] if margin else [])
    lines = []
    for kind, value, said in marks:
        y = frame.y(value)
        lines.append(f'<line class="{kind}" x1="{LEFT}" x2="{frame.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="note" x="{frame.width - RIGHT}" y="{y - 4:.1f}" text-anchor="end">{said}</text>')
    return lines


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return round numbers between two ends, about so many."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]
