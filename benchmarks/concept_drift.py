"""Is a change of the error rate found soon, and how often is there an alarm without one? Flywheel's test beside ADWIN.

    python -m benchmarks.concept_drift [--json FILE] [--quick]

Each stream has 100,000 labels at an error rate of .2 and then a step; no detector is told the rate. Both see the same
labels. Seeds are fixed, and none of them served to choose anything.
"""

import argparse
import copy
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.concept_drift_days import day_rows
from benchmarks.concept_drift_detectors import ADWIN, DETECTORS, OTHERS, OURS, first
from benchmarks.concept_drift_losses import loss_rows
from benchmarks.concept_drift_small import small_rows
from benchmarks.concept_drift_worlds import STATIONARY, Step, errors
from flywheel.goals import Goal, goal, write_goals

SEED = 260_000
COUNTED = 20  # streams in which there must be no alarm at all
GOAL_STEPS = tuple(Step(rate) for rate in (0.25, 0.3, 0.5, 0.8))
SMALL = Step(0.22)
RAMPS = (Step(0.3, ramp=5_000), Step(0.3, ramp=20_000))
OTHER_STEPS = (
    (Step(0.27), Step(0.4), Step(0.15), Step(0.1), *RAMPS),
    (Step(0.3, before=1_000),),
    (Step(0.3, before=5_000),),
    (Step(0.02, base=0.01),),
    (Step(0.1, base=0.05),),
    (Step(0.55, base=0.5),),
)
RATES = (0.01, 0.05, 0.2, 0.5)


def main() -> None:
    """Play all streams, print the tables, and write the figures."""
    options = _parse()
    began = time.monotonic()
    streams, many, days, small = (40, 20, 10, 20) if options.quick else (400, 400, 60, 100)
    steps = step_rows((*GOAL_STEPS, SMALL), streams)
    nulls = [null_row(OURS, 0.2, COUNTED), *(null_row(name, 0.2, COUNTED) for name in (ADWIN, *OTHERS))]
    rates = [null_row(name, rate, many) for rate in RATES for name in DETECTORS]
    others = [row for steps_of_one in OTHER_STEPS for row in step_rows(steps_of_one, streams // 4)]
    rows = [*steps, *nulls, *rates, *others, *loss_rows(5 * days, SEED), *day_rows(days, SEED)]
    rows += small_rows(small, SEED)
    goals = measured_goals(steps, nulls[0])
    show(rows, goals)
    print(f"took {time.monotonic() - began:.0f} s")
    if options.json:
        write_goals(options.json, goals, rows)


def step_rows(steps: Sequence[Step], streams: int) -> list[dict[str, Any]]:
    """Return one row a step and detector: its median delay, and how often it finds the step within the horizon.

    Args:
        steps: All from the same rate after as many labels; what is before them is the same stream.
        streams: Of each.
    """
    delays: dict[tuple[str, str], list[float]] = {(step.name, name): [] for step in steps for name in DETECTORS}
    for stream in range(streams):
        parts = {step.name: step.draw(SEED + stream) for step in steps}
        for name, make in DETECTORS.items():
            detector = make()
            detector.alarms(parts[steps[0].name][0])
            for world, (_, after) in parts.items():
                delays[world, name].append(first(copy.deepcopy(detector).alarms(after)))
    return [
        {
            "part": "step",
            "world": world,
            "detector": name,
            "streams": streams,
            "median_delay": statistics.median(found),
            "found_share": sum(map(math.isfinite, found)) / streams,
        }
        for (world, name), found in delays.items()
    ]


def null_row(name: str, rate: float, streams: int) -> dict[str, Any]:
    """Return how often a detector is wrong where nothing changes."""
    make = (DETECTORS | OTHERS)[name]
    alarms = sum(len(make().alarms(errors(rate, STATIONARY, SEED + stream))) for stream in range(streams))
    labels = streams * STATIONARY
    return {
        "part": "no change",
        "world": f"{rate:g}",
        "detector": name,
        "streams": streams,
        "alarms": alarms,
        "alarms_per_ten_million": round(alarms / labels * 1e7, 3),
    }


def measured_goals(steps: Sequence[dict[str, Any]], null: dict[str, Any]) -> list[Goal]:
    """Compare with the targets."""
    median = {(row["world"], row["detector"]): float(row["median_delay"]) for row in steps}
    ratios = [median[step.name, OURS] / median[step.name, ADWIN] for step in GOAL_STEPS]
    share = next(row["found_share"] for row in steps if row["world"] == SMALL.name and row["detector"] == OURS)
    return [
        goal("false_alarms", float(null["alarms"]), "==", 0.0),
        goal("worst_delay_vs_adwin", max(ratios), "<=", 1.0),
        goal("found_0_22_share", share, ">=", 0.5),
    ]


def show(rows: Sequence[dict[str, Any]], goals: Sequence[Goal]) -> None:
    """Print one table a part, and the goals."""
    console = Console(width=140)
    for part in dict.fromkeys(row["part"] for row in rows):
        mine = [row for row in rows if row["part"] == part]
        table = Table(*(key for key in mine[0] if key != "part"), title=part)
        for row in mine:
            table.add_row(*(str(value) for key, value in row.items() if key != "part"))
        console.print(table)
    for item in goals:
        console.print(
            f"{item.name}: {item.value:.4g} {item.comparison} {item.target:g}: {'met' if item.met else 'NOT met'}"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write goals and rows here")
    parser.add_argument("--quick", action="store_true", help="a tenth of the streams")
    return parser.parse_args()


if __name__ == "__main__":
    main()
