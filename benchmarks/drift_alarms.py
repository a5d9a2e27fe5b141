"""Does drift's alarm keep its budget, and how soon does it see a change? Flywheel and its peers on the same windows.

    python -m benchmarks.drift_alarms [--json FILE] [--quick] [--plot FILE] [--processes N]

Rows are drawn, profiled by the functions that monitoring uses, and judged day by day. Seeds are fixed; threshold and
weights were chosen on others.
"""

import argparse
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.drift_alarms_calendar import CASES as CALENDARS
from benchmarks.drift_alarms_calendar import CalendarYears, calendar_years
from benchmarks.drift_alarms_delays import CASES, Delay, delay
from benchmarks.drift_alarms_plot import draw
from benchmarks.drift_alarms_power import CHANGES, HORIZON, OURS, TUNED, Power, limits, power
from benchmarks.drift_alarms_rates import Rate, cells, rate_of
from benchmarks.drift_peers import PEERS
from flywheel.goals import Goal, goal, write_goals

T = TypeVar("T")
RUNS = {"delays": 5, "tuning": 4, "power": 10, "calendar": 3}
QUICK = {"delays": 1, "tuning": 1, "power": 2, "calendar": 1}


def main() -> None:
    """Play all parts, print the tables, and write the figures."""
    options, began = _parse(), time.monotonic()
    runs, console = QUICK if options.quick else RUNS, Console(width=140)
    with ProcessPoolExecutor(options.processes) as pool:
        cases = CASES[:3] if options.quick else CASES
        waits = _told("delays", pool.map(partial(delay, runs=runs["delays"]), cases))
        thresholds = limits(runs["tuning"])
        found = _told("power", pool.map(partial(power, runs=runs["power"], thresholds=thresholds), CHANGES))
        years = _told("calendar", pool.map(partial(calendar_years, runs=runs["calendar"]), CALENDARS))
        rated = _told("rates", pool.map(rate_of, cells(quick=options.quick)))
    goals = measured_goals(rated, waits, found)
    show(console, rated, waits, found, years)
    for one in goals:
        met = "met" if one.met else "NOT MET"
        console.print(f"{one.name:34} {one.value:10,.3f} {one.comparison} {one.target:g}  {met}", highlight=False)
    print(f"took {time.monotonic() - began:.0f} s, {_processor_seconds():.0f} s of processor time")
    if options.json:
        played = [one.row() for one in rated] + [one.row() for one in waits]
        played += [one.row() for one in found] + [one.row() for one in years]
        write_goals(options.json, goals, played)
    if options.plot:
        options.plot.write_bytes(draw(rated, waits))


def measured_goals(rated: Sequence[Rate], waits: Sequence[Delay], found: Sequence[Power]) -> list[Goal]:
    """Hold the figures against what is promised."""
    return [
        goal("cells_over_budget", sum(rate.broken for rate in rated), "==", 0),
        *(goal(wait.case.name, wait.median, "<=", wait.case.goal) for wait in waits if wait.case.goal is not None),
        goal("independent_mean_power_gain", float(np.mean([power.gain for power in found])), ">=", 0.05),
    ]


def show(
    console: Console,
    rated: Sequence[Rate],
    waits: Sequence[Delay],
    found: Sequence[Power],
    years: Sequence[CalendarYears],
) -> None:
    """Print the tables."""
    console.print(_rates_table(rated))
    console.print(_table("Median days to an alarm, one of 50 columns shifted", (wait.row() for wait in waits)))
    names = ", ".join(TUNED)
    title = (
        f"Found within {HORIZON} days, rows independent; {names} tuned to one false alarm a year, as {OURS} may have"
    )
    console.print(_table(title, (power.row() for power in found)))
    console.print(_table("A year with holidays and a season", (case.row() for case in years)))


def _rates_table(rated: Sequence[Rate]) -> Table:
    """Return alarms a year, all cells of a kind of day effect together."""
    table = Table(title="Alarms a year without any change (budget 1)", title_justify="left")
    for name in ("ρ", "φ", "tails", "cells", "years", OURS, "99 % lower", "worst cell", "over budget", *PEERS):
        table.add_column(name, justify="right")
    for key in sorted({(rate.world.rho, rate.world.phi, rate.world.heavy) for rate in rated}):
        group = [rate for rate in rated if (rate.world.rho, rate.world.phi, rate.world.heavy) == key]
        years, alarms = sum(rate.years for rate in group), sum(rate.alarms for rate in group)
        peers = {name: [rate.peers[name] for rate in group if rate.peers] for name in PEERS}
        table.add_row(
            f"{key[0]:g}",
            f"{key[1]:g}",
            "t4" if key[2] else "gauss",
            str(len(group)),
            str(years),
            f"{alarms / years:.2f}",
            f"{Rate(group[0].world, years, alarms, {}, {}).low:.2f}",
            f"{max(rate.alarms / rate.years for rate in group):.2f}",
            str(sum(rate.broken for rate in group)),
            *(f"{np.mean(values):.0f}" if values else "" for values in peers.values()),
        )
    return table


def _table(title: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    listed = [{key: value for key, value in row.items() if key != "part"} for row in rows]
    table = Table(title=title, title_justify="left")
    for name in listed[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in listed:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    return table


def _told(name: str, parts: Iterable[T]) -> list[T]:
    """Return all parts, and say how long they took."""
    began = time.monotonic()
    found = list(parts)
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return found


def _processor_seconds() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="write a picture to this file")
    parser.add_argument("--processes", type=int, default=1, help="so many at once")
    parser.add_argument("--quick", action="store_true", help="a short look: fewer cells and runs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
