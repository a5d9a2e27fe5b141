"""How much longer than reading a Parquet file does it take until its rows are checked, turned into features and split?

Five million rows of 20 columns are made once. Then processes that do one thing each alternate: read the file with
Polars; read it, check the contract, compute the features and split. Both report their seconds and the most memory
they held beyond what their imports hold; medians are compared, the memory against the size of the frame.
"""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from flywheel.goals import Goal, goal

START = datetime(2020, 1, 1)
NUMBERS = 13
SPEC = """\
    name: ingest
    data:
      source: {kind: parquet, path: rows.parquet}
      entity: key
      event_time: at
      label: {column: good, available_after: 1d}
    checks:
      columns:
        x0: {min: -100, max: 100}
        shop: {max_missing: 0.1}
    train: {validation: 5d, until: 2020-04-01T00:00:00}
"""
FEATURES = """\
    import polars as pl

    def features(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(
            pl.exclude("at"),
            hour=pl.col("at").dt.hour(),
            weekday=pl.col("at").dt.weekday(),
            ratio=pl.col("x0") / (pl.col("x1").abs() + 1),
        )
"""


def make_rows(folder: Path, rows: int) -> None:
    """Write a use case with `rows` rows of 20 columns in order of time, as an export from a warehouse would be."""
    random = np.random.default_rng(5)
    seconds = 86_400 * 80 / rows
    frame = pl.DataFrame(
        {
            "key": np.arange(rows),
            "at": pl.Series((np.arange(rows) * seconds * 1e6).astype(np.int64)).cast(pl.Duration("us")) + START,
            **{f"x{number}": random.normal(size=rows) for number in range(NUMBERS)},
            "count": random.integers(0, 1000, rows),
            "shop": pl.Series(random.integers(0, 50, rows)).cast(pl.String),
            "town": pl.Series(random.integers(0, 500, rows)).cast(pl.String),
            "new": random.random(rows) < 0.3,
            "good": (random.random(rows) < 0.2).astype(np.int8),
        }
    )
    frame.write_parquet(folder / "rows.parquet")
    (folder / "usecase.yaml").write_text(textwrap.dedent(SPEC))
    (folder / "features.py").write_text(textwrap.dedent(FEATURES))


def read_only(folder: Path) -> Callable[[], object]:
    """Return what reads the file and nothing else."""
    return lambda: pl.read_parquet(folder / "rows.parquet")


def ingest(folder: Path) -> Callable[[], object]:
    """Return what training does before its search; everything that it imports is imported here, outside the time."""
    from flywheel.usecase import load_usecase  # noqa: PLC0415  # so that the other side does not pay its memory
    from training.prepare import prepare  # noqa: PLC0415

    path = folder / "usecase.yaml"

    def run() -> object:
        prepared = prepare(load_usecase(path), path, None)
        return prepared, prepared.features_of(prepared.split.rows)

    return run


SIDES = {"polars": read_only, "ingest": ingest}


def most_memory() -> int:
    """Return the most bytes that this process held; `ru_maxrss` would begin with what its parent held."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def measure(side: str, folder: Path) -> None:
    """Do one side in this process and print its seconds and peak memory in bytes."""
    run = SIDES[side](folder)
    before = most_memory()
    started = time.perf_counter()
    kept = run()
    seconds = time.perf_counter() - started
    peak = most_memory() - before
    print(json.dumps({"seconds": seconds, "peak": peak, "kept": kept is not None}))


def compare(folder: Path, rows: int, rounds: int) -> tuple[list[Goal], list[dict[str, Any]]]:
    """Run both sides in turn; return goals and table rows."""
    make_rows(folder, rows)
    size = pl.read_parquet(folder / "rows.parquet").estimated_size()
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, results in found.items():
            command = [sys.executable, "-m", "benchmarks.training_ingest", side, str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
            results.append(json.loads(done.stdout))
    seconds = {side: median(result["seconds"] for result in results) for side, results in found.items()}
    peak = {side: median(result["peak"] for result in results) for side, results in found.items()}
    table = [
        {
            "what": f"{side}: {rows:,} rows",
            "seconds": round(seconds[side], 2),
            "peak / frame": round(peak[side] / size, 2),
        }
        for side in SIDES
    ]
    goals = [
        goal("ingest_vs_polars_ratio", round(seconds["ingest"] / seconds["polars"], 2), "<=", 2.0),
        goal("ingest_memory_ratio", round(peak["ingest"] / size, 2), "<=", 3.0),
    ]
    return goals, table


if __name__ == "__main__":
    measure(sys.argv[1], Path(sys.argv[2]))
