"""What is found where rows are independent, and the peers are tuned to as many false alarms as Flywheel may have?"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.drift_peers import EVIDENTLY_ANY, KS, PSI, Counted, counted, figures
from benchmarks.drift_worlds import Shift, World, series_of
from flywheel.monitor_spec import Drift
from monitoring.drift.watch import learn

QUIET, HORIZON = 20, 14  # days before a change, and days in which it is to be found
WORLD = World(50, 0.0, 0.0, rows=500, correlation=0.0, live=QUIET + HORIZON)
TUNING_DAYS = 365
TUNING_SEED, SEED = 13_000, 14_000
OURS = "flywheel"
TUNED = (EVIDENTLY_ANY, KS, PSI)
CHANGES = {
    "mean by .1 sd": Shift(QUIET, mean=0.1),
    "mean by .25 sd": Shift(QUIET, mean=0.25),
    "variance by a fifth": Shift(QUIET, spread=1.2**0.5),
    "new category, 1 %": Shift(QUIET, new=0.01),
    "missing 2 to 4 %": Shift(QUIET, missing=0.04),
}


@dataclass(frozen=True)
class Power:
    """How often a change was found within the horizon, by method."""

    change: str
    runs: int
    found: dict[str, float]

    @property
    def gain(self) -> float:
        """Flywheel's above the best peer's."""
        return self.found[OURS] - max(self.found[name] for name in TUNED)

    def row(self) -> dict[str, Any]:
        """Return the change as plain values."""
        return {"part": "power", "change": self.change, "runs": self.runs, "horizon_days": HORIZON, **self.found}


def limits(sequences: int) -> dict[str, float]:
    """Tune each peer to one false alarm a year, on seeds of their own: its figure that so many days exceed."""
    world = World(WORLD.columns, WORLD.rho, WORLD.phi, rows=WORLD.rows, correlation=0.0, live=TUNING_DAYS)
    seen: dict[str, list[float]] = {name: [] for name in TUNED}
    for run in range(sequences):
        reference, live = series_of(world, Shift(day=TUNING_DAYS), TUNING_SEED + run)
        before = counted(reference)
        for block, _ in live:
            for name, value in figures(before, Counted.of(block)).tuned().items():
                seen[name].append(value)
    return {name: float(np.sort(values)[-sequences]) for name, values in seen.items()}


def power(change: str, runs: int, thresholds: dict[str, float]) -> Power:
    """Play a change `runs` times."""
    hits = dict.fromkeys((OURS, *TUNED), 0)
    for run in range(runs):
        for name, hit in _one(CHANGES[change], SEED + run, thresholds).items():
            hits[name] += hit
    return Power(change, runs, {name: count / runs for name, count in hits.items()})


def _one(shift: Shift, seed: int, thresholds: dict[str, float]) -> dict[str, bool]:
    reference, live = series_of(WORLD, shift, seed)
    watch, before = learn(reference, Drift()), counted(reference)
    hits = dict.fromkeys((OURS, *TUNED), False)
    for day, (block, _) in enumerate(live):
        look = watch.take(block)
        if day < QUIET:
            continue
        hits[OURS] |= look.alarm
        for name, value in figures(before, Counted.of(block)).tuned().items():
            hits[name] |= bool(value > thresholds[name])
    return hits
