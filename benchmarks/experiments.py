"""Is an A/B test judged rightly when somebody looks every day? Flywheel's sequence and t-tests on the same units.

    python -m benchmarks.experiments [--json FILE] [--runs N]

A/A runs tell how often a method is wrong at any of a hundred looks, runs with an effect how often and how soon it is
right. The effect is what one t-test at the end finds with a probability of .9. Seeds are fixed.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from deploy.experiments.adjusting import adjusted, plain
from deploy.experiments.differences import difference
from deploy.experiments.sample_ratio import log_evidence
from deploy.experiments.sequence import Boundary
from deploy.experiments.sums import Floats, Sums
from flywheel.goals import Goal, goal, write_goals

ALPHA, RATIO_ALPHA, POWER = 0.05, 0.01, 0.9
UNITS, LOOKS, RUNS = 20_000, 100, 120
CORRELATION = 0.7
ENDS = np.linspace(UNITS / LOOKS, UNITS, LOOKS).astype(int)
ARMS = ("champion", "challenger")
OURS, ADJUSTED, PEEKED, FIXED = "sequence", "sequence, covariate", "t-test, each look", "t-test, at the end"
METHODS = (OURS, ADJUSTED, PEEKED, FIXED)
Folds = Mapping[str, tuple[Sums, Sums]]


@dataclass(frozen=True)
class World:
    """What a unit measures, by chance.

    Args:
        name: For the table.
        draw: Returns (n_units,) values from a generator.
        share: Share of the challenger (0 to 1).
    """

    name: str
    draw: Callable[[np.random.Generator, int], Floats]
    share: float = 0.5


def conversions(generator: np.random.Generator, units: int) -> Floats:
    """Return 1 for two units of a hundred, and 0."""
    return (generator.random(units) < 0.02).astype(np.float64)


def purchases(generator: np.random.Generator, units: int) -> Floats:
    """Return what units spend: most nothing, some amounts with a heavy tail, cut at 500."""
    spent = np.exp(generator.normal(3, 1.2, units)).clip(max=500)
    return np.where(generator.random(units) < 0.05, spent, 0.0)


WORLDS = (
    World("normal", lambda generator, units: generator.normal(0, 1, units)),
    World("conversions 2 %", conversions),
    World("purchases", purchases),
    World("purchases, share 10 %", purchases, 0.1),
)


@dataclass(frozen=True)
class Found:
    """What a method did in one run: units at its first finding, None for none, and whether it found the right side."""

    units: int | None
    right: bool


def main() -> None:
    """Play all worlds, print the table, and write the figures."""
    options = _parse()
    began = time.monotonic()
    rows = [row for world in WORLDS for times in (0.0, 1.0, 2.0) for row in played(world, times, options.runs)]
    shares = ratio_figures(options.runs)
    goals = measured_goals(rows, shares)
    show(rows, shares, goals)
    print(f"took {time.monotonic() - began:.0f} s")
    if options.json:
        write_goals(options.json, goals, [*rows, {"world": "shares", **shares}])


def played(world: World, times: float, runs: int) -> list[dict[str, Any]]:
    """Return one row a method: how often it finds a difference, and at how many units."""
    found: dict[str, list[Found]] = {method: [] for method in METHODS}
    effect = times * _effect(world)
    for seed in range(runs):
        for method, one in one_run(world, effect, seed).items():
            found[method].append(one)
    return [_row(world, times, method, found[method]) for method in METHODS]


def one_run(world: World, effect: float, seed: int) -> dict[str, Found]:
    """Let every method look at the same units."""
    generator = np.random.default_rng(seed)
    there = generator.random(UNITS) < world.share
    noise = world.draw(generator, UNITS)
    values, covariates = noise + effect * there, covariates_of(noise, generator)
    boundary, hits = Boundary(ALPHA, UNITS / 2), dict.fromkeys(METHODS, Found(None, right=False))
    for end, folds in zip(ENDS.tolist(), _folds(values, covariates, there), strict=True):
        for method, sums in ((OURS, plain(folds)), (ADJUSTED, adjusted(folds))):
            gain = difference(sums["challenger"], sums["champion"], boundary)
            if hits[method].units is None and not gain.low <= 0 <= gain.high:
                hits[method] = Found(end, gain.low > 0)
        if hits[PEEKED].units is None or end == UNITS:
            p_value, right = _t_test(plain(folds))
            if p_value < ALPHA and hits[PEEKED].units is None:
                hits[PEEKED] = Found(end, right)
            if p_value < ALPHA and end == UNITS:
                hits[FIXED] = Found(end, right)
    return hits


def covariates_of(noise: Floats, generator: np.random.Generator) -> Floats:
    """Return what was known before of units, (n_units,): as their own noise, as far as the correlation goes."""
    scaled = (noise - noise.mean()) / noise.std()
    return np.asarray(CORRELATION * scaled + math.sqrt(1 - CORRELATION**2) * generator.normal(0, 1, len(noise)))


def ratio_figures(runs: int) -> dict[str, float]:
    """Return how the check of the shares does at even shares, and at 52 to 48 instead."""
    alarms, found = 0, []
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        alarms += _units_to_alarm(generator, 0.5, UNITS) is not None
        found.append(_units_to_alarm(generator, 0.52, 10 * UNITS) or 10 * UNITS)
    return {"false_alarm_rate": alarms / runs, "median_units_52_48": float(np.median(found))}


def measured_goals(rows: list[dict[str, Any]], shares: Mapping[str, float]) -> list[Goal]:
    """Hold the figures against what is promised."""

    def rates(method: str, times: float) -> list[float]:
        return [row["found"] for row in rows if (row["method"], row["effect"]) == (method, times)]

    ours = [rate for method in (OURS, ADJUSTED) for rate in rates(method, 0.0)]
    return [
        goal("worst_false_positive_rate", max(ours), "<=", ALPHA),
        goal("peeked_false_positive_rate", min(rates(PEEKED, 0.0)), ">", ALPHA),
        goal("worst_power_at_twice_the_effect", min(rates(OURS, 2.0)), ">=", 0.95),
        goal("covariate_power_normal", rates(ADJUSTED, 1.0)[0], ">=", 0.85),
        goal("ratio_false_alarm_rate", shares["false_alarm_rate"], "<=", RATIO_ALPHA),
        goal("ratio_median_units_52_48", shares["median_units_52_48"], "<=", 10_000),
    ]


def show(rows: list[dict[str, Any]], shares: Mapping[str, float], goals: list[Goal]) -> None:
    """Print the tables."""
    console = Console(width=130)
    for times, title in (
        (0.0, "A/A: found a difference at any of 100 looks, % of runs"),
        (1.0, "The effect that one t-test at the end finds in 90 %: found, % of runs; median units of 20,000"),
        (2.0, "Twice that effect"),
    ):
        table = Table(title=title, title_justify="left")
        table.add_column("world")
        for method in METHODS:
            table.add_column(method, justify="right")
        for world in WORLDS:
            cells = {row["method"]: row for row in rows if (row["world"], row["effect"]) == (world.name, times)}
            table.add_row(world.name, *(_cell(cells[method]) for method in METHODS))
        console.print(table)
    alarms, units = 100 * shares["false_alarm_rate"], shares["median_units_52_48"]
    console.print(
        f"Shares: {alarms:.1f} % false alarms at alpha 1 %; 52 to 48 found after {units:,.0f} units (median)."
    )
    for one in goals:
        met = "met" if one.met else "NOT MET"
        console.print(f"{one.name:34} {one.value:10,.3f} {one.comparison} {one.target:g}  {met}", highlight=False)


def _effect(world: World) -> float:
    deviation = float(world.draw(np.random.default_rng(0), 1_000_000).std())
    spread = math.sqrt(1 / world.share + 1 / (1 - world.share))
    quantiles = stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER)
    return float(quantiles * deviation * spread / math.sqrt(UNITS))


def _folds(values: Floats, covariates: Floats, there: np.ndarray[Any, Any]) -> Iterator[Folds]:
    folds, begin = np.arange(UNITS) % 2, 0
    total = {arm: (Sums(), Sums()) for arm in ARMS}
    for end in ENDS.tolist():
        piece = slice(begin, end)
        for arm, chosen in zip(ARMS, (~there[piece], there[piece]), strict=True):
            first, second = (
                total[arm][fold].plus(
                    Sums.of(
                        values[piece][chosen & (folds[piece] == fold)],
                        covariates[piece][chosen & (folds[piece] == fold)],
                    )
                )
                for fold in range(2)
            )
            total[arm] = (first, second)
        begin = end
        yield dict(total)


def _t_test(sums: Mapping[str, Sums]) -> tuple[float, bool]:
    """Return the p-value of Welch's test, and whether the challenger is above."""
    one, other = sums["challenger"], sums["champion"]
    if min(one.count, other.count) < 2 or one.variance + other.variance == 0:
        return 1.0, False
    found = stats.ttest_ind_from_stats(
        one.mean,
        math.sqrt(one.variance),
        one.count,
        other.mean,
        math.sqrt(other.variance),
        other.count,
        equal_var=False,
    )
    return float(found.pvalue), one.mean > other.mean


def _units_to_alarm(generator: np.random.Generator, share: float, most: int) -> int | None:
    there = units = 0
    step = UNITS // LOOKS
    while units < most:
        there, units = there + int(generator.binomial(step, share)), units + step
        counted = {"champion": units - there, "challenger": there}
        if log_evidence(counted, dict.fromkeys(ARMS, 50.0)) >= -math.log(RATIO_ALPHA):
            return units
    return None


def _row(world: World, times: float, method: str, found: list[Found]) -> dict[str, Any]:
    hits = [one.units for one in found if one.units is not None]
    units = float(np.median([one.units or UNITS for one in found]))
    wrong = sum(one.units is not None and not one.right for one in found)
    return {
        "world": world.name,
        "effect": times,
        "method": method,
        "found": len(hits) / len(found),
        "wrong_side": wrong / len(found),
        "median_units": units,
    }


def _cell(row: Mapping[str, Any]) -> str:
    rate = f"{100 * row['found']:.1f}"
    return rate if row["effect"] == 0 else f"{rate}; {row['median_units']:,.0f}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs a world and effect")
    return parser.parse_args()


if __name__ == "__main__":
    main()
