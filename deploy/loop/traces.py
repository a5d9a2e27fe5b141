"""How the evidence of a step grew, look by look, thinned to what a picture can show: stored with the step's event.

Whoever draws it needs no engine: statistics and thresholds stand in it as the looks left them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.verdict.several import Judged

MOST = 200  # points; a screen is about a thousand pixels wide
DIGITS = 5


@dataclass(frozen=True)
class Point:
    """What a look left behind: seconds since the rollout's start, and the statistics by metric."""

    seconds: float
    statistics: Mapping[str, Mapping[str, float]]


def point(seconds: float, judged: Judged) -> Point:
    """Return the point of the look that was judged last."""
    return Point(seconds, {name: reading.statistic for name, reading in judged.readings.items()})


def trace(points: Sequence[Point], most: int = MOST) -> dict[str, Any]:
    """Return points as plain JSON, by column: `seconds`, and `metrics` as metric -> statistic -> values.

    Args:
        points: In their order.
        most: So many are kept, evenly, the first and the last among them.
    """
    kept = _thinned(points, most)
    if not kept:
        return {}
    names = {name: list(statistic) for name, statistic in kept[-1].statistics.items()}
    metrics = {
        name: {key: [_plain(one.statistics.get(name, {}).get(key)) for one in kept] for key in keys}
        for name, keys in names.items()
    }
    return {"seconds": [round(one.seconds, 1) for one in kept], "metrics": metrics}


def _thinned(points: Sequence[Point], most: int) -> Sequence[Point]:
    if len(points) <= most:
        return points
    last = len(points) - 1
    return [points[round(number * last / (most - 1))] for number in range(most)]


def _plain(value: float | None) -> float | None:
    """Round to digits that a picture shows; what is infinite is null, as in the record of a verdict."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")
