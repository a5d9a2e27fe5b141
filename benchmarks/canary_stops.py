"""Slow requests come in bursts: processes that stop for a moment, judged by requests and by blocks of looks.

Five minutes at one step, a look each half second, against the champion's p90 and p99. Each arm is one process; stops
come to both alike, at random and of exponential length, and make all requests meanwhile slow.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.canary_rates import Rate, Row, generator
from deploy.loop.plans import BLOCK_SECONDS
from deploy.verdict.counted import latency
from deploy.verdict.exceedance import SlowLook, split
from deploy.verdict.guards import Guard
from deploy.verdict.looks import Look
from deploy.verdict.plan import tilt
from deploy.verdict.schedule import Schedule
from flywheel.rollout_spec import PARTS, Rollout

SECONDS, LOOK_SECONDS = 300.0, 0.5
# The guard's part of α in traffic, where errors, latency and a loss are judged.
ALPHA = 0.05 * 0.8 * PARTS["latency"]
TOLERANCE = Rollout().latency_ratio
LEVELS = split(0.1, 0.4, TOLERANCE)
# What the plan of a test by requests foretold: slow requests of both arms, by level.
PLANNED = (300.0, 100.0)


@dataclass(frozen=True)
class Stops:
    """One cell.

    Args:
        requests: A second, to both arms.
        share: The canary's (0 to 1).
        every: Seconds from one stop of a process to its next, on average; 0 for never.
        length: Of a stop, in seconds, on average.
        ratios: How many times as many of the canary's requests are over p90 and p99, all the time.
    """

    requests: float
    share: float
    every: float = 0.0
    length: float = 0.0
    ratios: tuple[float, float] = (1.0, 1.0)


STOPPED = {
    "stops, none, 500/s, 50 %": Stops(500, 0.5),
    "stops, 0.3 s each 20 s, 500/s, 5 %": Stops(500, 0.05, 20, 0.3),
    "stops, 0.3 s each 20 s, 500/s, 50 %": Stops(500, 0.5, 20, 0.3),
    "stops, 2 s each minute, 50/s, 50 %": Stops(50, 0.5, 60, 2),
    "stops, 2 s each minute, 500/s, 5 %": Stops(500, 0.05, 60, 2),
    "stops, 2 s each minute, 500/s, 50 %": Stops(500, 0.5, 60, 2),
    "stops, slow x 5, 50/s, 50 %": Stops(50, 0.5, 20, 0.3, (5, 5)),
    "stops, slow x 5, 500/s, 5 %": Stops(500, 0.05, 20, 0.3, (5, 5)),
    "stops, slow x 8 and x 30, 500/s, 5 %": Stops(500, 0.05, 20, 0.3, (8, 30)),
    "stops, slow x 8 and x 30, 500/s, 50 %": Stops(500, 0.5, 20, 0.3, (8, 30)),
}


def play_stops(name: str, runs: int) -> Row:
    """Judge runs of a cell both ways; seconds are those until a rollback, the median of where there was one."""
    cell, random = STOPPED[name], generator(name)
    played = [_looks(cell, random) for _ in range(runs)]
    row: Row = {"cell": name, "rule": "latency by blocks and by requests", "runs": runs}
    for rule, judge in RULES.items():
        found = [first for looks in played if (first := judge(looks))]
        low, high = Rate(len(found), runs).interval(0.95)
        middle = float(np.median(found)) * LOOK_SECONDS if found else None
        row |= {f"{rule}_rolled_back": len(found) / runs, f"{rule}_95": [low, high], f"{rule}_seconds": middle}
    return row


def by_blocks(looks: list[SlowLook]) -> int:
    """Return the look at which the engine finds the canary slower, from 1; 0 for never."""
    metric = latency(LEVELS, ALPHA, block=BLOCK_SECONDS)
    for number, look in enumerate(looks, start=1):
        metric = metric.take(look)
        if metric.reading().worse:
            return number
    return 0


def by_requests(looks: list[SlowLook]) -> int:
    """Return the look at which a test finds it slower that takes each request for itself, as those of errors do."""
    guards = [Guard() for _ in LEVELS]
    for number, look in enumerate(looks, start=1):
        for at, (level, counts, planned) in enumerate(zip(LEVELS, look.levels, PLANNED, strict=True)):
            guards[at], worse = guards[at].take(
                counts.canary_errors,
                counts.baseline_errors,
                tilt(counts.share, level.tolerance),
                alpha=ALPHA * level.part,
                schedule=Schedule(planned),
            )
            if worse:
                return number
    return 0


RULES: dict[str, Callable[[list[SlowLook]], int]] = {"blocks": by_blocks, "requests": by_requests}


def _looks(cell: Stops, random: np.random.Generator) -> list[SlowLook]:
    count = round(SECONDS / LOOK_SECONDS)
    still = [_still(cell, count, random) for _ in range(2)]
    looks = []
    for at in range(count):
        arms = []
        for part, share, ratios in zip(still, (cell.share, 1 - cell.share), (cell.ratios, (1, 1)), strict=True):
            requests = max(int(random.poisson(cell.requests * LOOK_SECONDS * share)), 1)
            arms.append((requests, *_slow(requests, part[at], ratios, random)))
        (canary, *slow), (baseline, *usual) = arms
        levels = tuple(Look(canary, slow[one], baseline, usual[one]) for one in (0, 1))
        looks.append(SlowLook(levels, LOOK_SECONDS))
    return looks


def _slow(requests: int, still: float, ratios: tuple[float, float], random: np.random.Generator) -> tuple[int, int]:
    stopped = int(random.binomial(requests, still))
    over_p90, over_p99 = (min(level.share * ratio, 1.0) for level, ratio in zip(LEVELS, ratios, strict=True))
    slow = int(random.binomial(requests - stopped, over_p90))
    return stopped + slow, stopped + int(random.binomial(slow, min(over_p99 / over_p90, 1.0)))


def _still(cell: Stops, count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return for which part of each look a process stood still (0 to 1)."""
    still, at = np.zeros(count), 0.0
    while cell.every:
        at += float(random.exponential(cell.every))
        if at >= SECONDS:
            break
        begin, end = at, at + float(random.exponential(cell.length))
        edges = np.arange(count) * LOOK_SECONDS
        still += np.clip(np.minimum(end, edges + LOOK_SECONDS) - np.maximum(begin, edges), 0, None) / LOOK_SECONDS
        at = end
    return np.minimum(still, 1.0)
