"""Losses of other kinds than errors: does the budget hold for them, and is a rise of half a deviation found?"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.concept_drift_detectors import OURS, Ours, first
from flywheel.statistics import Floats
from monitoring.concept.effects import Plan

BUDGET, LENGTH = 1_000.0, 4_000
LEARNED = 3_000  # losses before the rise


@dataclass(frozen=True)
class Kind:
    """One kind of loss.

    Attributes:
        name: As the table calls it.
        draw: Returns (n_losses,) from a generator.
        bounds: The least and the greatest, where they are known.
        deviation: Their standard deviation.
    """

    name: str
    draw: Callable[[np.random.Generator, int], Floats]
    bounds: tuple[float, float] | None
    deviation: float


KINDS = (
    Kind("bounded (beta 2, 5)", lambda random, n: random.beta(2, 5, n), (0.0, 1.0), 0.16),
    Kind("normal", lambda random, n: random.normal(0, 1, n), None, 1.0),
    Kind("log-loss-like (exponential)", lambda random, n: random.exponential(1, n), None, 1.0),
    Kind("squared t with 6 degrees", lambda random, n: random.standard_t(6, n) ** 2, None, 3.35),
    Kind("lognormal, σ = 1", lambda random, n: np.exp(random.normal(0, 1, n)), None, 2.16),
)


def loss_rows(streams: int, seed: int) -> list[dict[str, Any]]:
    """Return one row a kind: false alarms against the budget, and the median delay of a rise of half a deviation."""
    return [_row(kind, streams, seed) for kind in KINDS]


def _row(kind: Kind, streams: int, seed: int) -> dict[str, Any]:
    plan = Plan(per_false_alarm=BUDGET, bounds=kind.bounds)
    careful = Plan(per_false_alarm=1e5, bounds=kind.bounds)
    alarms, delays = 0, []
    for stream in range(streams):
        random = np.random.default_rng([seed + stream, 29])
        alarms += len(Ours(plan).alarms(kind.draw(random, LENGTH)))
        detector = Ours(careful)
        detector.alarms(kind.draw(random, LEARNED))
        risen = kind.draw(random, 1_000) + 0.5 * kind.deviation
        delays.append(first(detector.alarms(risen if kind.bounds is None else np.clip(risen, *kind.bounds))))
    return {
        "part": "other losses",
        "world": kind.name,
        "detector": OURS,
        "streams": streams,
        "alarms": alarms,
        "allowed": streams * LENGTH / BUDGET,
        "median_delay_half_sd": statistics.median(delays),
    }
