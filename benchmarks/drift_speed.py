"""What does a drift check of a million rows cost? Flywheel's profiles beside Evidently on the same rows.

    python -m benchmarks.drift_speed [--json FILE] [--quick]

About three minutes. Each judge runs in a process of its own with one thread for everybody; imports and reading the rows
count for nobody. Flywheel's figure is the dearest of three runs. `--quick` takes a tenth of the rows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.drift_speed_history import DAYS, history_rows
from benchmarks.drift_speed_rows import write
from flywheel.goals import Goal, goal, write_goals

ROWS, QUICK_ROWS, RUNS = 1_000_000, 100_000, 3
ONE_THREAD = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
Row = dict[str, Any]


def main() -> None:
    """Let each judge judge, print the table, and write the figures."""
    options = _parse()
    rows = QUICK_ROWS if options.quick else ROWS
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        files = write(Path(folder), rows)
        trained = run("training", files)
        ours = max((run("flywheel", files) for _ in range(RUNS)), key=lambda row: float(row["cpu_seconds"]))
        peers = [run(f"evidently {name}", files) for name in ("preset", "count")]
        history = history_rows(Path(folder), DAYS[:2] if options.quick else DAYS)
    goals = goals_of(ours, *peers)
    show(rows, [ours, *peers, trained], history, goals)
    if options.json:
        write_goals(options.json, goals, [ours, *peers, trained, *history])


def run(who: str, files: tuple[Path, Path]) -> Row:
    """Run one judge in a process of its own; return its figures."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.drift_speed_judge", who, *map(str, files)]
    done = subprocess.run(command, env=os.environ | ONE_THREAD, check=True, capture_output=True, text=True)
    return {"judge": who, **json.loads(done.stdout.splitlines()[-1])}


def goals_of(ours: Row, preset: Row, count: Row) -> list[Goal]:
    """Return the figures that were promised."""
    return [
        goal("cpu_ratio_evidently_preset", preset["cpu_seconds"] / ours["cpu_seconds"], ">=", 50),
        goal("cpu_ratio_evidently_count", count["cpu_seconds"] / ours["cpu_seconds"], ">=", 20),
        goal("extra_memory_mb", ours["extra_mb"], "<=", 300),
    ]


def show(rows: int, judges: list[Row], history: list[Row], goals: list[Goal]) -> None:
    """Print the tables."""
    console = Console()
    table = Table("judge", "CPU s", "memory MB", "said", title=f"{rows:,} rows x 20 columns")
    for row in judges:
        table.add_row(row["judge"], f"{row['cpu_seconds']:.2f}", f"{row['extra_mb']:.0f}", str(row["said"]))
    console.print(table)
    table = Table("blocks in the store", "CPU s a day", "read MB", title="one more day, from the log to the decision")
    for row in history:
        table.add_row(f"{row['blocks']:,}", f"{row['cpu_seconds']:.3f}", f"{row['store_mb']:.1f}")
    console.print(table)
    for one in goals:
        console.print(f"{one.name}: {one.value:.1f} {one.comparison} {one.target} {'met' if one.met else 'NOT MET'}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
