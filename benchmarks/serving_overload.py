"""Three times as many requests as it can answer: how much is still answered in time, and how fast the rest refused.

In turns: the peak in a closed loop, then an open loop at three times that rate, whose clients do not wait for each
other. What is answered is held against the peak before and after it, since the machine is not as fast all the time.
"""

from dataclasses import dataclass
from typing import Any

from benchmarks.load import Measured, Target, closed_loop, open_loop
from flywheel.open_files import raise_limit

IN_TIME_SECONDS = 2.0
OVERLOAD = 3.0
TURNS = 7


@dataclass(frozen=True)
class Load:
    """What is asked: rows of a request, connections of which one finds the peak, and of the overload.

    The overload has more than the server may hold in its queue and its calls, so that it is the server that must refuse
    and not the client that queues.
    """

    rows: int
    peak_connections: tuple[int, ...]
    connections: int


ONE = Load(1, (128, 512), 9000)
MANY = Load(64, (16, 64), 1000)


@dataclass(frozen=True)
class Overloaded:
    """Requests a second, and milliseconds."""

    peak: float
    offered: float
    goodput: float
    refused_p50_ms: float
    refused_p99_ms: float
    answered_p99_ms: float
    statuses: dict[str, int]

    def row(self, server: str) -> dict[str, Any]:
        """Return it as a row of the report."""
        figures = {name: round(value, 2) for name, value in vars(self).items() if isinstance(value, float)}
        return {"server": server, "overload": figures, "statuses": self.statuses}


def overload(target: Target, load: Load, seconds: float) -> Overloaded:
    """Hold answers under three times the peak against the peak before and after them; return the middle turn."""
    raise_limit(2 * load.connections)
    tried = {count: closed_loop(target, count, seconds).rate() for count in load.peak_connections}
    connections = max(tried, key=tried.__getitem__)
    peaks, turns = [tried[connections]], []
    for _ in range(TURNS):
        result = open_loop(target, peaks[-1] * OVERLOAD, seconds, connections=load.connections)
        peaks.append(closed_loop(target, connections, seconds).rate())
        turns.append(_turn(result, (peaks[-2] + peaks[-1]) / 2, seconds))
    return sorted(turns, key=lambda one: one.goodput / one.peak)[TURNS // 2]


def _turn(result: Measured, peak: float, seconds: float) -> Overloaded:
    return Overloaded(
        peak,
        result.sent / seconds,
        result.rate(within=IN_TIME_SECONDS),
        result.quantile_ms(0.5, code=429),
        result.quantile_ms(0.99, code=429),
        result.quantile_ms(0.99),
        {status: count for status, count in result.statuses.items() if count},
    )
