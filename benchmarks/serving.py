"""The data plane beside its peers: throughput and latency, the log, the gateway, memory and overload, in one run.

    python -m benchmarks.serving [--json FILE] [--quick] [--plot FILE] [--cache FOLDER]

All serve one model, trained here by Flywheel's own training; every request holds another row, and answers are compared
with what training stored. The client keeps to the first core, servers may use all. Peers are installed from PyPI into
environments below the cache. Each part stands in a module serving_*.py; the table of a run in benchmarks/README.md.
"""

import argparse
import importlib
import math
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.serving_envoy import added_ms
from benchmarks.serving_log_cost import log_cost
from benchmarks.serving_model import Served, served
from benchmarks.serving_overload_agents import overloads
from benchmarks.serving_peers import MLFLOW, RAW, RIVALS
from benchmarks.serving_plot import draw
from benchmarks.serving_processes import ServerError, pin_client
from benchmarks.serving_rounds import AGENT_MLFLOW, AGENT_ONNX, Plan, Table, everybody, measure_all
from flywheel.errors import FlywheelError
from flywheel.goals import Goal, goal, write_goals

CACHE = Path.home() / ".cache" / "flywheel-bench"
MOST = 128
NOTHING = float("nan")
Row = dict[str, Any]


def main() -> None:
    """Run all parts, print the table, and write figures and plot."""
    options = _parse()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # servers are ended on the way out
    options.cache.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    model = served(options.cache)
    pin_client()
    plan = Plan(1 if options.quick else 3, 2.0 if options.quick else 4.0, model, options.cache)
    table = Table()
    wanted = [peer for peer in everybody() if not options.only or peer.name in options.only]
    measure_all(plan, table, wanted)
    extra = _extra(model, options.cache, 1.0 if options.quick else 2.0)
    goals = [*ratios(table), *others(table, extra)]
    rows = [*table.rows(), *extra.values(), *({"server": name, "failed": why} for name, why in table.failed.items())]
    _print(rows, goals)
    print(f"took {time.monotonic() - began:.0f} s")
    if options.json:
        write_goals(options.json, goals, rows)
    if options.plot:
        draw(options.plot, table)


def ratios(table: Table) -> list[Goal]:
    """Hold the agent against mlflow alone, the limit and the best peer of the same run."""

    def over(name: str, other: str, connections: int, figure: str) -> float:
        mine, theirs = table.value(name, connections, figure), table.value(other, connections, figure)
        return NOTHING if mine is None or not theirs else mine / theirs

    rate = "requests_per_second"
    peers = {peer.name: table.value(peer.name, MOST, rate) or 0.0 for peer in RIVALS}
    best = max(peers, key=lambda name: peers[name])
    values = [
        ("agent_vs_mlflow_throughput", over(AGENT_MLFLOW, MLFLOW.name, MOST, rate), ">=", 40.0),
        ("agent_vs_mlflow_p99", over(AGENT_MLFLOW, MLFLOW.name, MOST, "p99_ms"), "<=", 0.25),
        ("agent_vs_mlflow_p50_1conn", over(AGENT_MLFLOW, MLFLOW.name, 1, "p50_ms"), "<=", 1.15),
        ("onnx_vs_raw_limit", over(AGENT_ONNX, RAW.name, MOST, rate), ">=", 0.8),
        ("onnx_vs_best_peer", over(AGENT_ONNX, best, MOST, rate), ">=", 2.0),
        ("onnx_p50_1conn_ms", table.value(AGENT_ONNX, 1, "p50_ms") or NOTHING, "<=", 1.0),
    ]
    return [goal(name, round(value, 3), comparison, target) for name, value, comparison, target in values]


def others(table: Table, extra: Mapping[str, Row]) -> list[Goal]:
    """Hold the other parts' figures against their targets; what was not measured is NaN and misses its target."""

    def figure(part: str, name: str) -> float:
        return float(extra.get(part, {}).get(name, NOTHING))

    return [
        goal("log_throughput_cost", figure("log cost", "cost"), "<=", 0.05),
        goal("log_records_per_s", figure("log records", "value"), ">=", 50_000),
        goal("lookup_ms", figure("lookup", "value"), "<=", 50),
        goal("envoy_added_p50_ms", figure("envoy", "added_p50_ms"), "<=", 0.3),
        goal("agent_memory_mb", round(table.memory_mb.get(AGENT_ONNX, NOTHING), 1), "<=", 180),
        goal("overload_goodput", figure("overload", "goodput_of_peak"), ">=", 0.9),
    ]


def _extra(model: Served, cache: Path, seconds: float) -> dict[str, Row]:
    parts: dict[str, Callable[[], Row]] = {
        "log cost": lambda: log_cost(model, cache),
        "envoy": lambda: added_ms(model, cache, seconds),
        "overload": lambda: overloads(model, cache, 2 * seconds),
        "log records": lambda: _of_the_log("log_records_per_s"),
        "lookup": lambda: _of_the_log("lookup_ms"),
    }
    return {name: _attempt(name, part) for name, part in parts.items()}


def _attempt(name: str, part: Callable[[], Row]) -> Row:
    try:
        return part()
    except (ServerError, FlywheelError, OSError, ImportError, AttributeError, AssertionError) as fault:
        print(f"{name}: not measured: {fault}", flush=True)
        return {"server": name, "failed": str(fault)}


def _of_the_log(function: str) -> Row:
    """Take a figure of the log's own benchmark, which needs no server."""
    measured = getattr(importlib.import_module("benchmarks.serving_log"), function)()
    return {"server": function, "value": float(measured)}


def _print(rows: list[Row], goals: list[Goal]) -> None:
    print(f"{'':32}{'connections':>12}{'requests/s':>12}{'spread':>20}{'p50 ms':>10}{'p99 ms':>10}  statuses")
    for row in rows:
        if "connections" not in row:
            print(f"{row['server']:32}{ {key: value for key, value in row.items() if key != 'server'} }")
            continue
        spread = "{:.0f} to {:.0f}".format(*row["spread"])
        figures = f"{row['connections']:>12}{row['requests_per_second']:>12}{spread:>20}"
        print(f"{row['server']:32}{figures}{row['p50_ms']:>10.2f}{row['p99_ms']:>10.2f}  {row['statuses']}")
    for one in goals:
        shown = "not measured" if math.isnan(one.value) else f"{one.value:g}"
        print(f"{'met   ' if one.met else 'MISSED'} {one.name}: {shown} ({one.comparison} {one.target:g})")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description="The data plane beside its peers."
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw throughput and p99 into this PNG")
    parser.add_argument("--quick", action="store_true", help="one round of short measurements")
    parser.add_argument("--cache", type=Path, default=CACHE, help="environments of the peers, and the model")
    parser.add_argument("--only", action="append", help="measure this peer only (by name, repeatable) beside Flywheel")
    return parser.parse_args()


if __name__ == "__main__":
    main()
