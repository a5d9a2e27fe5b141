"""How soon is a change found? Days from a shift of one of fifty columns to the alarm, after a hundred quiet days."""

from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.drift_worlds import Shift, World, series_of
from flywheel.monitor_spec import Drift
from flywheel.profiling.block import Block
from monitoring.drift.watch import Watch, learn

NEVER = Shift(day=1_000_000)
QUIET, WAIT = 100, 90  # days before the shift, and after it
ROWS = 2_000
COLUMNS = 16  # that shift, each by itself
SEED = 12_000


@dataclass(frozen=True)
class Case:
    """A shift of `size` standard deviations where `phi` of a day's effect is left on the next; `goal` in days."""

    name: str
    phi: float
    size: float
    goal: float | None = None

    @property
    def world(self) -> World:
        """Fifty columns, ninety reference days, a tenth of the variance that of days."""
        return World(50, 0.1, self.phi, rows=ROWS, live=QUIET + WAIT)


CASES = (
    Case("delay_phi_0_half_sd_days", 0.0, 0.5, 8),
    Case("delay_phi_half_half_sd_days", 0.5, 0.5, 21),
    Case("delay_phi_half_one_sd_days", 0.5, 1.0, 7),
    Case("delay_phi_0_quarter_sd_days", 0.0, 0.25),
    Case("delay_phi_nine_tenths_one_sd_days", 0.9, 1.0),
)


@dataclass(frozen=True)
class Delay:
    """Days to the alarm in each run, infinite where there was none."""

    case: Case
    days: tuple[float, ...]
    named: int

    @property
    def median(self) -> float:
        """The median; `WAIT` where more than half were not found."""
        return float(np.median([min(day, WAIT) for day in self.days]))

    def row(self) -> dict[str, Any]:
        """Return the case as plain values."""
        found = [day for day in self.days if day <= WAIT]
        return {
            "part": "delays",
            "case": self.case.name,
            "phi": self.case.phi,
            "size": self.case.size,
            "runs": len(self.days),
            "median_days": self.median,
            "found": len(found) / len(self.days),
            "named_rightly": self.named / max(len(found), 1),
        }


def delay(case: Case, runs: int) -> Delay:
    """Play a case: in each of `runs` sequences, each of the first `COLUMNS` columns shifts in a world of its own."""
    found = [one for run in range(runs) for one in _sequence(case, SEED + run)]
    return Delay(case, tuple(days for days, _ in found), sum(named for _, named in found))


def _sequence(case: Case, seed: int) -> list[tuple[float, bool]]:
    """Return the days to the alarm for each column, and whether it is named first.

    The same rows are drawn twice, as they are and shifted, and a column is taken from the latter.
    """
    names = [f"x{number}" for number in range(COLUMNS)]
    reference, live = series_of(case.world, NEVER, seed)
    _, shifted = series_of(case.world, Shift(day=QUIET, mean=case.size, columns=COLUMNS), seed)
    pairs = zip((block for block, _ in live), (block for block, _ in shifted), strict=True)
    watch = learn(reference, Drift())
    for block, _ in islice(pairs, QUIET):
        watch.take(block)
    later = list(pairs)
    return [_one(deepcopy(watch), name, later) for name in names]


def _one(watch: Watch, name: str, later: list[tuple[Block, Block]]) -> tuple[float, bool]:
    for day, (plain, shifted) in enumerate(later, start=1):
        look = watch.take(replace(plain, numbers={**plain.numbers, name: shifted.numbers[name]}))
        if look.alarm:
            return float(day), look.moved[0].stream.column == name
    return float("inf"), False
