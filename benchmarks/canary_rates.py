"""Rates of a run: how often each rule rolled back and promoted in each world, with exact intervals."""

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from benchmarks.canary_ours import flywheel, flywheel_errors_alone
from benchmarks.canary_rivals import RIVALS, Outcome
from benchmarks.canary_rollouts import MOST_MINUTES, Rollout, roll_out
from benchmarks.canary_worlds import Counts, Disturbance, World, draw
from deploy.verdict.calls import Call

FLYWHEEL, ERRORS_ALONE = "Flywheel", "Flywheel, errors alone"
RULES = (*RIVALS, FLYWHEEL, ERRORS_ALONE)
ALONE_RATE = 0.01  # of the worlds in which errors are judged alone, too
ROLLOUTS = {"rollout, healthy": 1.0, "rollout, x 2": 2.0}
Row = dict[str, Any]


@dataclass(frozen=True)
class Rate:
    """A share of runs."""

    hits: int
    runs: int

    @property
    def share(self) -> float:
        """Return the share, 0 to 1."""
        return self.hits / self.runs

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval that covers the true share in at least `level` of cases.

        Clopper & Pearson, Biometrika 26, 1934.
        """
        tail, missed = (1 - level) / 2, self.runs - self.hits
        low = float(beta.ppf(tail, self.hits, missed + 1)) if self.hits else 0.0
        return low, float(beta.isf(tail, self.hits + 1, missed)) if missed else 1.0


@dataclass(frozen=True)
class Measured:
    """What one rule did in one world; looks are counted from 1."""

    rolled_back: Rate
    promoted: Rate
    median_look: float | None

    @classmethod
    def of(cls, outcome: Outcome) -> "Measured":
        """Sum up an outcome."""
        found = outcome.rolled_back[outcome.rolled_back > 0]
        runs = len(outcome.rolled_back)
        middle = float(np.median(found)) if len(found) else None
        return cls(Rate(len(found), runs), Rate(int((outcome.promoted > 0).sum()), runs), middle)


@dataclass
class Table:
    """All that was measured; what was left out is not in it."""

    cells: dict[tuple[World, str], Measured] = field(default_factory=dict)
    rollouts: dict[float, list[Rollout]] = field(default_factory=dict)  # by the canary's ratio of error rates
    others: list[Row] = field(default_factory=list)  # units, and what is watched after promotion

    def rate(self, world: World, rule: str = FLYWHEEL) -> Rate | None:
        """Return how often a rule rolled back in a world; None if that was not measured."""
        measured = self.cells.get((world, rule))
        return measured.rolled_back if measured else None

    def worlds(self) -> list[World]:
        """Return the worlds that were played, in order."""
        return list(dict.fromkeys(world for world, _ in self.cells))

    def rows(self) -> list[Row]:
        """Return one row a world and rule, one a kind of rollout, and the others."""
        rows = [_row(world, rule, measured) for (world, rule), measured in self.cells.items()]
        return rows + [_rollout_row(ratio, played) for ratio, played in self.rollouts.items()] + self.others


def play(world: World, runs: int, healthy: Counts) -> dict[str, Measured]:
    """Let every rule judge the same streams of one world; `healthy` as `flywheel` takes it, of as many runs or more."""
    streams = draw(world, runs, generator(world.name))
    outcomes = {name: rule(streams, world.base_rate) for name, rule in RIVALS.items()}
    outcomes[FLYWHEEL] = flywheel(streams, healthy[:runs])
    if world.disturbance is Disturbance.NONE and world.base_rate == ALONE_RATE:
        outcomes[ERRORS_ALONE] = flywheel_errors_alone(streams)
    return {name: Measured.of(outcome) for name, outcome in outcomes.items()}


def play_rollouts(name: str, runs: int) -> list[Rollout]:
    """Play rollouts through all steps."""
    random = generator(name)
    return [roll_out(ROLLOUTS[name], random) for _ in range(runs)]


def generator(name: str) -> np.random.Generator:
    """Return a cell's own source of chance, the same whatever else is played."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def promoted(rollouts: list[Rollout]) -> Rate:
    """Return the share of rollouts that ended in promotion."""
    return Rate(sum(rollout.call is Call.PROMOTE for rollout in rollouts), len(rollouts))


def median_minutes(rollouts: list[Rollout]) -> float:
    """Return the median time to promotion; who was never promoted took for ever."""
    minutes: NDArray[np.float64] = np.array(
        [rollout.minutes if rollout.call is Call.PROMOTE else np.inf for rollout in rollouts]
    )
    return float(np.quantile(minutes, 0.5, method="higher"))


def _row(world: World, rule: str, measured: Measured) -> Row:
    low, high = measured.rolled_back.interval(0.95)
    return {
        "cell": world.name,
        "rule": rule,
        "runs": measured.rolled_back.runs,
        "rolled_back": measured.rolled_back.share,
        "low_95": round(low, 4),
        "high_95": round(high, 4),
        "low_99": round(measured.rolled_back.interval(0.99)[0], 4),
        "median_look": measured.median_look,
        "promoted": measured.promoted.share,
        "false": world.healthy,
        "claims_validity": world.valid_per_request,
    }


def _rollout_row(ratio: float, rollouts: list[Rollout]) -> Row:
    rate = promoted(rollouts)
    low, high = rate.interval(0.95)
    minutes = median_minutes(rollouts)
    return {
        "cell": next(name for name, known in ROLLOUTS.items() if known == ratio),
        "rule": FLYWHEEL,
        "runs": rate.runs,
        "promoted": rate.share,
        "low_95": round(low, 4),
        "high_95": round(high, 4),
        "rolled_back": Rate(sum(one.call is Call.ROLL_BACK for one in rollouts), rate.runs).share,
        "retried": Rate(sum(one.retried for one in rollouts), rate.runs).share,
        "median_minutes": round(minutes, 2) if minutes <= 2 * MOST_MINUTES else None,
    }
