"""The tables and the picture of benchmarks.canary."""

import math
import sys
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table as Printed

from benchmarks.canary_rates import FLYWHEEL, RULES, Row, Table
from benchmarks.canary_rollouts import BASE_RATE, REQUESTS_PER_SECOND, STEPS
from benchmarks.canary_worlds import Disturbance, World
from flywheel.goals import Goal

FILE_WIDTH = 200
ALPHA = 0.05
COLOURS = ("#1f77b4", "#9467bd", "#8c564b", "#e0a100", "#7f7f7f", "#0b6e4f", "#d6336c")
MARKERS = ("s", "^", "v", "D", "x", "o", "*")


def show(table: Table, timed: list[Row], goals: list[Goal]) -> None:
    """Print what every rule did, the rollouts, and the figures against their goals."""
    console = Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
    healthy = [world for world in table.worlds() if world.healthy]
    harmed = [world for world in table.worlds() if not world.healthy]
    if healthy:
        console.print(_rates("False rollbacks of healthy canaries, % of runs (95 % interval)", healthy, table))
    if harmed:
        console.print(_rates("Bad canaries found within 50 looks, % of runs; median look", harmed, table))
    if table.rollouts:
        console.print(_rollouts([row for row in table.rows() if "retried" in row]))
    units = [row for row in table.others if "warned" in row]
    if units:
        console.print(_units(units))
    watched = [row for row in table.others if "mean_looks" in row]
    if watched:
        console.print(_watched(watched))
    stopped = [row for row in table.others if "blocks_rolled_back" in row]
    if stopped:
        console.print(_stopped(stopped))
    console.print(_times(timed))
    console.print(_goals(goals))


def draw_plot(path: Path, table: Table) -> None:
    """Draw each rule's false rollbacks against its power, by what is sent to the canary and how bad it is."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    for axes, ratio in zip(figure.subplots(1, 2), (2.0, 3.0), strict=True):
        for rule, colour, marker in zip(RULES, COLOURS, MARKERS, strict=True):
            points = _points(table, rule, ratio)
            if points:
                axes.scatter(*zip(*points, strict=True), label=rule, color=colour, marker=marker, s=48, alpha=0.85)
        axes.axvline(ALPHA, color="#444444", linewidth=0.8, linestyle="--")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title=f"errors x {ratio:g}, found within 50 looks")
        axes.set(xlabel="healthy canaries rolled back (5 % dashed)", ylabel="bad canaries rolled back")
        axes.grid(visible=True, alpha=0.25)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _points(table: Table, rule: str, ratio: float) -> list[tuple[float, float]]:
    """Return (false rollbacks, power) of a rule in every pair of worlds that differ by the canary alone."""
    points = []
    for world in table.worlds():
        if world.ratio != ratio or world.disturbance is not Disturbance.NONE:
            continue
        false = table.rate(World(world.canary_requests, world.base_rate), rule)
        power = table.rate(world, rule)
        if false and power:
            points.append((false.share, power.share))
    return points


def _rates(title: str, worlds: list[World], table: Table) -> Printed:
    printed = Printed(title=title, title_justify="left")
    printed.add_column("world", no_wrap=True)
    for rule in RULES:
        printed.add_column(rule, justify="right")
    printed.add_column("gate opened", justify="right")
    for world in worlds:
        opened = f"{100 * table.cells[world, FLYWHEEL].promoted.share:.1f}"
        printed.add_row(world.name, *(_cell(table, world, rule) for rule in RULES), opened)
    return printed


def _cell(table: Table, world: World, rule: str) -> str:
    measured = table.cells.get((world, rule))
    if measured is None:
        return "-"
    low, high = (100 * end for end in measured.rolled_back.interval(0.95))
    rate = f"{100 * measured.rolled_back.share:.1f}"
    if not world.healthy:
        return rate if measured.median_look is None else f"{rate}; {measured.median_look:.0f}"
    shown = f"{rate} ({low:.0f} to {high:.0f})"
    return f"[red]{shown}[/red]" if measured.rolled_back.interval(0.99)[0] > ALPHA else shown


def _rollouts(rows: list[Row]) -> Printed:
    steps = "/".join(map(str, STEPS))
    title = f"Flywheel at {steps} %, {REQUESTS_PER_SECOND} requests/s, {BASE_RATE:.1%} errors, one retry"
    names = ("rollout", "promoted %", "95 %", "rolled back %", "retried %", "median minutes")
    printed = Printed(*names, title=title, title_justify="left")
    for row in rows:
        minutes = "-" if row["median_minutes"] is None else f"{row['median_minutes']:.1f}"
        shares = [f"{100 * row[key]:.1f}" for key in ("promoted", "rolled_back", "retried")]
        interval = f"{100 * row['low_95']:.1f} to {100 * row['high_95']:.1f}"
        printed.add_row(row["cell"], shares[0], interval, *shares[1:], minutes)
    return printed


def _units(rows: list[Row]) -> Printed:
    printed = Printed("world", "judge", "rolled back %", "95 %", "said before it starts", title_justify="left")
    printed.title = "Units: rollbacks of healthy canaries, and of bad ones"
    for row in rows:
        interval = f"{100 * row['low_95']:.1f} to {100 * row['high_95']:.1f}"
        said = "-" if row["claims_validity"] else " ".join(row["warned"])
        printed.add_row(row["cell"], row["rule"], f"{100 * row['rolled_back']:.1f}", interval, said)
    return printed


def _watched(rows: list[Row]) -> Printed:
    names = ("after promotion", "mean looks until the alarm", "median", "longest", "promised between false alarms")
    printed = Printed(*names, title="Watching a promoted version, a look a minute", title_justify="left")
    for row in rows:
        looks = (f"{row[key]:,.0f}" for key in ("mean_looks", "median_looks", "longest", "looks_between_false_alarms"))
        printed.add_row(row["cell"], *looks)
    return printed


def _stopped(rows: list[Row]) -> Printed:
    names = ("latency, with processes that stop", "by blocks %", "95 %", "seconds", "by requests %", "seconds")
    printed = Printed(*names, title="Slow requests in bursts, rolled back within five minutes", title_justify="left")
    for row in rows:
        interval = " to ".join(f"{100 * end:.1f}" for end in row["blocks_95"])
        shares = [f"{100 * row[f'{rule}_rolled_back']:.1f}" for rule in ("blocks", "requests")]
        taken = ["-" if (one := row[f"{rule}_seconds"]) is None else f"{one:.1f}" for rule in ("blocks", "requests")]
        printed.add_row(row["cell"], shares[0], interval, taken[0], shares[1], taken[1])
    return printed


def _times(rows: list[Row]) -> Printed:
    names = ("one look, taken and read, ms", "metric", "median", "p99", "longest")
    printed = Printed(*names, title="Time", title_justify="left")
    for row in rows:
        for metric, times in row["judge_ms"].items():
            printed.add_row(row["cell"], metric, *(f"{value:.3f}" for value in times.values()))
    return printed


def _goals(goals: list[Goal]) -> Printed:
    printed = Printed("figure", "value", "goal", "met", title="Figures", title_justify="left")
    for one in goals:
        value = "not measured" if math.isnan(one.value) else f"{one.value:.4g}"
        printed.add_row(one.name, value, f"{one.comparison} {one.target:g}", "yes" if one.met else "[red]no[/red]")
    return printed
