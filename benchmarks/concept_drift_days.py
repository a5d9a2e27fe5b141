"""Errors that come in days: how often a test by row is wrong there, and how soon one by day is right."""

import statistics
from typing import Any

import numpy as np

from benchmarks.concept_drift_detectors import DETECTORS, OURS, Ours, first
from benchmarks.concept_drift_worlds import DayWorld
from monitoring.concept.days import plan_by_day

NULLS = (
    DayWorld(0.0, 0.0),
    DayWorld(0.3, 0.0),
    DayWorld(0.3, 0.5),
    DayWorld(0.3, 0.9),
    DayWorld(0.3, 0.0, week=0.3),
    DayWorld(0.3, 0.5, week=0.3),
)
STEPS = (DayWorld(0.3, 0.0, step=0.3), DayWorld(0.3, 0.5, step=0.3), DayWorld(0.3, 0.5, step=0.6))
PER_YEAR = 1.0


def day_rows(streams: int, seed: int) -> list[dict[str, Any]]:
    """Return one row a world and detector: false alarms a year, or the median delay in days."""
    nulls = [_null(world, name, streams, seed) for world in NULLS for name in (*DETECTORS, f"{OURS} by day")]
    return nulls + [_step(world, streams, seed) for world in STEPS]


def _null(world: DayWorld, name: str, streams: int, seed: int) -> dict[str, Any]:
    alarms = 0
    for stream in range(streams):
        drawn = world.draw(seed + stream)
        if name in DETECTORS:
            alarms += len(DETECTORS[name]().alarms(drawn.ravel()))
        else:
            alarms += len(_by_day().alarms(drawn.mean(axis=1)))
    years = streams * world.days / 365.25
    return {
        "part": "days, no change",
        "world": world.name,
        "detector": name,
        "streams": streams,
        "alarms": alarms,
        "alarms_per_year": round(alarms / years, 3),
        "allowed_per_year": PER_YEAR,
    }


def _step(world: DayWorld, streams: int, seed: int) -> dict[str, Any]:
    delays = []
    for stream in range(streams):
        means, test = world.draw(seed + stream).mean(axis=1), _by_day()
        test.alarms(means[: world.days // 2])
        delays.append(first(test.alarms(means[world.days // 2 :])))
    return {
        "part": "days, step",
        "world": f"{world.name}, step {world.step:g}",
        "detector": f"{OURS} by day",
        "streams": streams,
        "median_delay_days": statistics.median(delays),
        "found_share": float(np.isfinite(delays).mean()),
    }


def _by_day() -> Ours:
    return Ours(plan_by_day("error rate", PER_YEAR))
