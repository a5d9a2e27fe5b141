"""Is a canary judged rightly? Flywheel's judge and the rules of others on the same simulated rollouts.

    python -m benchmarks.canary [--json FILE] [--plot FILE] [--quick] [--only CELL …] [--list]

Healthy canaries tell how often a rule is wrong, bad ones how often it is right. Worlds stand in canary_worlds.py, the
rules of others in canary_rivals.py, the table of a run in benchmarks/README.md.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.canary_ours import healthy_guards, judge_milliseconds
from benchmarks.canary_pairs import known_misses, requests_until_found
from benchmarks.canary_rates import (
    ERRORS_ALONE,
    FLYWHEEL,
    ROLLOUTS,
    Row,
    Table,
    median_minutes,
    play,
    play_rollouts,
    promoted,
)
from benchmarks.canary_stops import STOPPED, play_stops
from benchmarks.canary_tables import draw_plot, show
from benchmarks.canary_units import name_of, play_units, worlds
from benchmarks.canary_watch import WATCHED, watch
from benchmarks.canary_worlds import Disturbance, World, cells
from flywheel.goals import Goal, goal, write_goals

# 2,000 runs tell a rate of 5 % to ± 1 %, and a share of one half to ± 2.2 %.
RUNS, QUICK_RUNS = 2000, 200
# Harm that no goal is about, to ± 3 %.
OTHER_RUNS = 1000
# A rollout has about fifty looks at three metrics; 1,000 without a promotion say that the rate is below 0.5 %.
ROLLOUT_RUNS, QUICK_ROLLOUT_RUNS = 1000, 50
PAIRS, QUICK_PAIRS = 100, 20
WATCH_RUNS, QUICK_WATCH_RUNS = 400, 40
STOP_RUNS, QUICK_STOP_RUNS = 100, 10
NOTHING = float("nan")
PROCESSES = 2
# What a judge does not know beforehand: 200, 1,000 and 50,000 requests a look, of which 1 % fail.
TIMED = (World(20, 0.01), World(100, 0.01), World(5000, 0.01))
# Where unit mode claims its α, and the issue at hand its 6 %: errors of a pod in outages, of a user in sessions.
UNITS = (Disturbance.OUTAGES, Disturbance.USERS_5, Disturbance.USERS_20)
TWICE_AT_20, THRICE_AT_20, TWICE_AT_100 = World(20, 0.01, 2.0), World(20, 0.01, 3.0), World(100, 0.01, 2.0)


def main() -> None:
    """Play all cells, print the tables, and write figures and plot."""
    options = _parse()
    if options.list:
        print("\n".join(names()))
        return
    began = time.monotonic()
    calls = [timed(world) for world in TIMED]  # before other processes are at work
    table, pairs = played(options.only or names(), quick=options.quick)
    misses = known_misses()
    goals = [*measured_goals(table), _verdict_ms(calls), *goals_of_pairs(pairs), _of_misses(misses)]
    show(table, calls, goals)
    print(f"took {time.monotonic() - began:.0f} s")
    if options.json:
        write_goals(options.json, goals, [*table.rows(), *calls, {"cell": "loss + 2 %", **pairs}, *misses])
    if options.plot:
        draw_plot(options.plot, table)


def names() -> list[str]:
    """Return the names of all cells."""
    units = [name_of(world) for world in worlds()]
    return [world.name for world in cells()] + units + list(ROLLOUTS) + list(WATCHED) + list(STOPPED)


def played(wanted: Sequence[str], *, quick: bool) -> tuple[Table, dict[str, float]]:
    """Play the cells of these names, and pairs of losses, in several processes."""
    runs = QUICK_RUNS if quick else RUNS
    table, chosen = Table(), [world for world in cells() if world.name in wanted]
    with ProcessPoolExecutor(PROCESSES) as pool:
        sizes = dict.fromkeys(world.canary_requests for world in chosen)
        healthy = {size: pool.submit(healthy_guards, World(size, 0.01), runs) for size in sizes}
        pairs = pool.submit(requests_until_found, QUICK_PAIRS if quick else PAIRS)
        rollouts = {
            ROLLOUTS[name]: pool.submit(play_rollouts, name, QUICK_ROLLOUT_RUNS if quick else ROLLOUT_RUNS)
            for name in ROLLOUTS
            if name in wanted
        }
        watched = [
            pool.submit(watch, name, QUICK_WATCH_RUNS if quick else WATCH_RUNS) for name in WATCHED if name in wanted
        ]
        stops = [
            pool.submit(play_stops, name, QUICK_STOP_RUNS if quick else STOP_RUNS) for name in STOPPED if name in wanted
        ]
        units = [pool.submit(play_units, world, runs) for world in worlds() if name_of(world) in wanted]
        judged = {world: pool.submit(play, world, runs, healthy[world.canary_requests].result()) for world in chosen}
        for world, found in judged.items():
            table.cells |= {(world, rule): measured for rule, measured in found.result().items()}
        table.rollouts = {ratio: found.result() for ratio, found in rollouts.items()}
        table.others = [one.result() for one in (*units, *watched, *stops)]
        return table, pairs.result()


def runs_of(world: World, runs: int) -> int:
    """Return how often a world is played: all healthy ones, and those of the goals, as often as was asked."""
    return runs if world.healthy or world in (TWICE_AT_20, THRICE_AT_20, TWICE_AT_100) else min(runs, OTHER_RUNS)


def timed(world: World) -> Row:
    """Return what one look takes in a world, by metric."""
    return {"cell": f"one look, {world.name}", "rule": FLYWHEEL, "judge_ms": judge_milliseconds(world)}


def measured_goals(table: Table) -> list[Goal]:
    """Hold what the engine did against its goals; what was not played is NaN and misses its target."""
    healthy, harmed = (table.rollouts.get(ratio, []) for ratio in (1.0, 2.0))
    return [
        goal("worst_false_rollback_rate", worst_false_rollbacks(table), "<=", 0.05),
        goal("worst_false_rollback_rate_units", worst_false_rollbacks_of_units(table), "<=", 0.06),
        goal("power_1_to_2_at_20", _power(table, TWICE_AT_20), ">=", 0.6),
        goal("power_1_to_2_at_20_errors_only", _power(table, TWICE_AT_20, ERRORS_ALONE), ">=", 0.75),
        goal("power_1_to_3_at_20", _power(table, THRICE_AT_20), ">=", 0.98),
        goal("power_1_to_2_at_100", _power(table, TWICE_AT_100), ">=", 0.99),
        goal("double_harm_promoted_rate", promoted(harmed).share if harmed else NOTHING, "<=", 0.01),
        goal("healthy_promoted_rate", promoted(healthy).share if healthy else NOTHING, ">=", 0.9),
        goal("healthy_promotion_minutes", median_minutes(healthy) if healthy else NOTHING, "<=", 6),
    ]


def _verdict_ms(calls: Sequence[Row]) -> Goal:
    """Hold the slowest metric's 99th percentile of a look, at up to 1,000 requests, against a millisecond."""
    worst = max(times["p99"] for row in calls[:-1] for times in row["judge_ms"].values())
    return goal("verdict_ms_per_metric_and_look", worst, "<=", 1)


def goals_of_pairs(requests: Mapping[str, float]) -> list[Goal]:
    """Hold the median requests until a loss that is 2 % larger is found against their goals."""
    return [
        goal("paired_loss_requests", requests["paired"], "<=", 5000),
        goal("paired_shadow_request_ratio", round(requests["paired"] / requests["unpaired"], 3), "<=", 0.25),
    ]


def _of_misses(rows: Sequence[Row]) -> Goal:
    return goal("known_misses_right", float(all(row["is_right"] for row in rows)), "==", 1)


def worst_false_rollbacks(table: Table) -> float:
    """Return the worst rate of false rollbacks that is certain: the lower end of its 99 % interval.

    Over the healthy worlds in which a test of requests claims validity, all guards on, and errors alone where that was
    played; NaN unless all of them were played.
    """
    valid = [world for world in cells() if world.healthy and world.valid_per_request]
    rates = [table.rate(world, rule) for world in valid for rule in (FLYWHEEL, ERRORS_ALONE)]
    known = [rate.interval(0.99)[0] for rate in rates if rate]
    return max(known) if all(table.rate(world) for world in valid) else NOTHING


def worst_false_rollbacks_of_units(table: Table) -> float:
    """Return the same of unit mode, under outages of pods and bursts of users; NaN unless all of them were played."""
    wanted = [name_of(world) for world in worlds() if world.healthy and world.disturbance in UNITS]
    known = {row["cell"]: row["low_99"] for row in table.others if "low_99" in row}
    return max(known[name] for name in wanted) if set(wanted) <= set(known) else NOTHING


def _power(table: Table, world: World, rule: str = FLYWHEEL) -> float:
    rate = table.rate(world, rule)
    return rate.share if rate else NOTHING


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.canary", description="Judges of canaries, simulated.")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw false rollbacks against power into this PNG")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs a cell")
    parser.add_argument("--only", action="append", choices=names(), metavar="CELL", help="play this cell (repeatable)")
    parser.add_argument("--list", action="store_true", help="print the names of the cells")
    return parser.parse_args()


if __name__ == "__main__":
    main()
