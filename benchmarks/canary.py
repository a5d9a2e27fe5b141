"""Is a canary judged rightly? Flywheel's judge and the rules of others on the same simulated rollouts.

    python -m benchmarks.canary [--json FILE] [--plot FILE] [--quick] [--only CELL …] [--list]

Healthy canaries tell how often a rule is wrong, bad ones how often it is right. Worlds stand in canary_worlds.py, the
rules of others in canary_rivals.py, the table of a run in benchmarks/README.md. What the judge cannot do yet has no
value and misses its goal.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.canary_ours import judge_milliseconds
from benchmarks.canary_pairs import known_misses, requests_until_found
from benchmarks.canary_rates import FLYWHEEL, ROLLOUTS, Rate, Row, Table, median_minutes, play, play_rollouts, promoted
from benchmarks.canary_tables import draw_plot, show
from benchmarks.canary_worlds import World, cells
from flywheel.goals import Goal, goal, write_goals

# 2,000 runs tell a rate of 5 % to ± 1 %, and a share of one half to ± 2.2 %.
RUNS, QUICK_RUNS = 2000, 200
PAIRS, QUICK_PAIRS = 100, 20
NOTHING = float("nan")
# What a judge does not know beforehand: 200, 1,000 and 50,000 requests a look, of which 1 % fail.
TIMED = (World(20, 0.01), World(100, 0.01), World(5000, 0.01))


def main() -> None:
    """Play all cells, print the tables, and write figures and plot."""
    options = _parse()
    if options.list:
        print("\n".join(names()))
        return
    began = time.monotonic()
    calls = [timed(world) for world in TIMED]
    table = played(options.only or names(), quick=options.quick)
    pairs, misses = requests_until_found(QUICK_PAIRS if options.quick else PAIRS), known_misses()
    goals = measured_goals(table) + goals_of_pairs(pairs) + [_of_misses(misses)] + missing_goals()
    show(table, calls, goals)
    print(f"took {time.monotonic() - began:.0f} s")
    if options.json:
        write_goals(options.json, goals, [*table.rows(), *calls, {"cell": "loss + 2 %", **pairs}, *misses])
    if options.plot:
        draw_plot(options.plot, table)


def names() -> list[str]:
    """Return the names of all cells."""
    return [world.name for world in cells()] + list(ROLLOUTS)


def played(wanted: list[str], *, quick: bool) -> Table:
    """Play the cells of these names."""
    table, runs = Table(), QUICK_RUNS if quick else RUNS
    for world in cells():
        if world.name in wanted:
            play(table, world, runs)
    for name in ROLLOUTS:
        if name in wanted:
            play_rollouts(table, name, runs)
    return table


def timed(world: World) -> Row:
    """Return what one call of the judge takes in a world."""
    return {"cell": f"one look, {world.name}", "rule": FLYWHEEL, "judge_ms": judge_milliseconds(world)}


def measured_goals(table: Table) -> list[Goal]:
    """Hold what the judge of today did against its goals; what was not played is NaN and misses its target."""
    healthy, harmed = (table.rollouts.get(ratio, []) for ratio in (1.0, 2.0))
    return [
        goal("worst_false_rollback_rate", worst_false_rollbacks(table), "<=", 0.05),
        goal("power_1_to_2_at_20_errors_only", _power(table, World(20, 0.01, 2.0)), ">=", 0.75),
        goal("power_1_to_3_at_20", _power(table, World(20, 0.01, 3.0)), ">=", 0.98),
        goal("power_1_to_2_at_100", _power(table, World(100, 0.01, 2.0)), ">=", 0.99),
        goal("double_harm_promoted_rate", promoted(harmed).share if harmed else NOTHING, "<=", 0.01),
        goal("healthy_promoted_rate", promoted(healthy).share if healthy else NOTHING, ">=", 0.9),
        goal("healthy_promotion_minutes", median_minutes(healthy) if healthy else NOTHING, "<=", 6),
    ]


def goals_of_pairs(requests: Mapping[str, float]) -> list[Goal]:
    """Hold the median requests until a loss that is 2 % larger is found against their goals."""
    return [
        goal("paired_loss_requests", requests["paired"], "<=", 5000),
        goal("paired_shadow_request_ratio", round(requests["paired"] / requests["unpaired"], 3), "<=", 0.25),
    ]


def _of_misses(rows: Sequence[Row]) -> Goal:
    return goal("known_misses_right", float(all(row["is_right"] for row in rows)), "==", 1)


def missing_goals() -> list[Goal]:
    """Return the goals for which there is nothing to measure yet: no rollout is judged by these tests.

    That is a split of α over several guards, and units that are users or pods.
    """
    wanted = [
        ("worst_false_rollback_rate_units", "<=", 0.06),
        ("power_1_to_2_at_20", ">=", 0.6),
    ]
    return [goal(name, NOTHING, comparison, target) for name, comparison, target in wanted]


def worst_false_rollbacks(table: Table) -> float:
    """Return the worst rate of false rollbacks that is certain: the lower end of its 99 % interval.

    Over the healthy worlds in which a test of requests claims validity; NaN unless all of them were played.
    """
    rates = [table.rate(world) for world in cells() if world.healthy and world.valid_per_request]
    known = [rate.interval(0.99)[0] for rate in rates if rate]
    return max(known) if len(known) == len(rates) else NOTHING


def _power(table: Table, world: World) -> float:
    rate: Rate | None = table.rate(world)
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
