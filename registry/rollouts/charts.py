"""The pictures of a rollout: its traffic over time, and each metric's evidence against what it is held to. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from registry.rollouts.drawing import Axis, Chart, Line, Point, Tick, area, path, powers, rounds, stairs
from registry.rollouts.evidence import MetricEvidence, Stretch
from registry.rollouts.record import Phase, Record

# A curve of bets falls without end while nothing is known; what lies below says nothing more.
LEAST_POWER = -3.0
PERCENTS = (0, 25, 50, 75, 100)


@dataclass(frozen=True)
class Traffic:
    """Who answered how much over time.

    Args:
        filled: Path of the new version's part.
        edge: Path of its upper end.
        shadows: Where it got copies only: begin and width, percent of the whole width.
        levels: Labels of the vertical axis, percent.
        ends: The first and the last moment.
        told: The same in words.
    """

    filled: str
    edge: str
    shadows: Sequence[tuple[float, float]]
    levels: Sequence[Tick]
    ends: tuple[str, str]
    told: str


def traffic(record: Record, until: datetime) -> Traffic:
    """Draw the new version's part of the requests from the start to `until`."""
    across, up = time_axis(record, until), Axis(0, 103)  # all of the traffic is still seen as a line
    changes = shares(record)
    corners = stairs([(_since(record, at), percent) for at, percent, _ in changes], across.high)
    copies = []
    for (at, _, phase), end in zip(changes, [*(at for at, _, _ in changes[1:]), until], strict=True):
        if phase is Phase.SHADOW:
            left, right = (across.percent(_since(record, one)) for one in (at, end))
            copies.append((left, round(right - left, 2)))
    told = ", ".join(f"{percent} % from {at:%H:%M:%S}" for at, percent, _ in changes)
    return Traffic(
        filled=area(corners, across, up),
        edge=path([corners], across, up),
        shadows=copies,
        levels=[Tick(up.percent(one, upwards=True), f"{one} %") for one in PERCENTS],
        ends=(f"{record.started:%Y-%m-%d %H:%M} UTC", span(across.high)),
        told=f"Part of the requests to {record.title}: {told}.",
    )


def shares(record: Record) -> list[tuple[datetime, int, Phase]]:
    """Return when the new version's percent changed, as the gateway confirmed it; the start is 0."""
    found = [(record.started, 0, Phase.STARTING)]
    for moment in record.moments:
        done = moment.event.body.get("state") == "done"
        if done and (moment.percent, moment.phase) != found[-1][1:]:
            found.append((moment.event.at, moment.percent, moment.phase))
    return found


def time_axis(record: Record, until: datetime) -> Axis:
    """Return the seconds from the start to `until`."""
    return Axis(0.0, max(_since(record, until), 1.0))


def charts(record: Record, metric: MetricEvidence) -> Iterator[Chart]:
    """Draw a metric: its bets against their thresholds, and its counts against the boundaries of its guards."""
    if not metric.stretches:
        return
    across = Axis(metric.stretches[0].seconds[0], max(one.seconds[-1] for one in metric.stretches))
    bets = [name for name in metric.statistics if name.startswith("evidence")]
    for where in dict.fromkeys(map(_where, bets)):
        yield _bets(record, metric, [name for name in bets if _where(name) == where], across)
    for name in metric.statistics:
        if name.endswith("found"):
            yield _counts(record, metric, name.removesuffix("found"), across)


def _bets(record: Record, metric: MetricEvidence, names: Sequence[str], across: Axis) -> Chart:
    thresholds = {name: name.replace("evidence", "threshold") for name in names}
    values = [y for pair in thresholds.items() for name in pair for curve in _curves(metric, name) for _, y in curve]
    up = _log_axis(values)
    lines = []
    for name, threshold in thresholds.items():
        role, label, line = _words(metric, name)
        lines.append(Line(role, label, path(_curves(metric, name), across, up)))
        lines.append(Line(f"{role} threshold", line, path(_across(metric, threshold, across), across, up)))
    last = "; ".join(f"{label}: {_last(metric, name):.3g}" for name in names for _, label, _ in [_words(metric, name)])
    title = " ".join(["Evidence", *filter(None, [_where(names[0])])])
    return Chart(
        title=title,
        told=f"{metric.name}, {title.lower()}: e-values on a logarithmic axis. {last}.",
        lines=lines,
        levels=[Tick(up.percent(one, upwards=True), _power(one)) for one in powers(up.low, up.high)],
        stops=_stops(record, metric, across),
        ends=(f"{span(across.low)} after the start", span(across.high)),
    )


def _counts(record: Record, metric: MetricEvidence, prefix: str, across: Axis) -> Chart:
    found, boundary = _curves(metric, f"{prefix}found"), _curves(metric, f"{prefix}boundary")
    expected = _expected(metric.stretches, f"{prefix}of")
    highest = max((y for curves in (found, expected) for curve in curves for _, y in curve), default=1.0)
    reach = [y for curve in boundary for _, y in curve[len(curve) // 2 :]]
    up = Axis(0.0, max(highest, min(max(reach, default=0.0), 3 * highest + 5), 1.0) * 1.1)
    where = prefix.removesuffix(": ") or "in the new version"
    lines = [
        Line("found", "seen", path(found, across, up)),
        Line("expected", "expected if both are alike", path(expected, across, up)),
    ]
    if boundary:
        lines.append(Line("bad threshold", "so many roll it back", path(boundary, across, up)))
    last = [curves[-1][-1][1] if curves and curves[-1] else 0.0 for curves in (found, expected)]
    return Chart(
        title=f"Bad ones {where}",
        told=f"{metric.name}, {where}: {last[0]:g} seen, {last[1]:.1f} expected if both are alike.",
        lines=lines,
        levels=[Tick(up.percent(one, upwards=True), f"{one:,g}") for one in rounds(up.high)],
        stops=_stops(record, metric, across),
        ends=(f"{span(across.low)} after the start", span(across.high)),
    )


def _where(name: str) -> str:
    """Return what of a metric a statistic is of, such as `over 0.1 s`; "" where it is of all."""
    return name.partition(" ")[2]


def _curves(metric: MetricEvidence, name: str) -> list[list[Point]]:
    return [
        [(x, y) for x, y in zip(one.seconds, one.values.get(name, ()), strict=False) if y is not None]
        for one in metric.stretches
    ]


def _across(metric: MetricEvidence, name: str, across: Axis) -> list[list[Point]]:
    """Return a threshold as far as it is the same, over the whole width where it always is."""
    curves = [curve for curve in _curves(metric, name) if curve]
    heights = {y for curve in curves for _, y in curve}
    return [[(across.low, y), (across.high, y)] for y in heights] if len(heights) == 1 else curves


def _expected(stretches: Sequence[Stretch], name: str) -> list[list[Point]]:
    """Return how many of the counts would be the new version's if both were alike: its share of each look's."""
    curves, before, expected = list[list[Point]](), 0.0, 0.0
    for stretch in stretches:
        if stretch.anew:
            before = expected = 0.0
        curve = list[Point]()
        for x, counted in zip(stretch.seconds, stretch.values.get(name, ()), strict=False):
            if counted is not None:
                expected += max(counted - before, 0.0) * stretch.share
                before = counted
                curve.append((x, expected))
        curves.append(curve)
    return curves


def _stops(record: Record, metric: MetricEvidence, across: Axis) -> list[Tick]:
    return [
        Tick(across.percent(one.seconds[0]) if number else 0.0, step_name(record, one.step))
        for number, one in enumerate(metric.stretches)
    ]


def step_name(record: Record, step: int) -> str:
    """Name a step by its share of the traffic."""
    percent = record.plan.steps[step] if step < len(record.plan.steps) else 100
    return f"{percent} %" if percent else "shadow"


def _words(metric: MetricEvidence, name: str) -> tuple[str, str, str]:
    """Return the role of a curve, its name, and that of its threshold."""
    if metric.kind == "shift":
        return "warn", "predictions differ", "differ for sure"
    if name == "evidence":
        return "good", "not worse by the margin", "opens the gate"
    return "bad", "worse", "rolls it back"


def _log_axis(values: Sequence[float]) -> Axis:
    logs = [math.log10(value) for value in values if value > 0]
    return Axis(max(min(logs, default=0.0), LEAST_POWER) - 0.2, max(logs, default=1.0) + 0.3, log=True)


def _last(metric: MetricEvidence, name: str) -> float:
    return next((curve[-1][1] for curve in reversed(_curves(metric, name)) if curve), 1.0)


def _power(value: float) -> str:
    return f"{value:g}" if 1e-3 <= value <= 1e4 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def _since(record: Record, at: datetime) -> float:
    return (at - record.started).total_seconds()


def span(seconds: float) -> str:
    """Write a time span in its two largest units."""
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    left, parts = round(seconds), list[str]()
    for name, size in units:
        if left >= size or (parts and len(parts) < 2) or (size == 1 and not parts):
            parts.append(f"{left // size} {name}")
            left %= size
        if len(parts) == 2:
            break
    return " ".join(part for number, part in enumerate(parts) if not number or not part.startswith("0 "))
