"""What does training cost beyond the fits themselves?

Starts a stack of its own (Postgres, S3, MLflow, gateway) in a temporary home, and compares within one run.

    python -m benchmarks.training [--trials 50] [--rows 5000000] [--json FILE]

The table of a run stands in benchmarks/README.md.
"""

import argparse
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Set before anything that brings OpenMP is imported: on a busy machine, waiting threads that spin crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
warnings.simplefilter("ignore")

from benchmarks import training_ingest, training_search  # noqa: E402
from flywheel.connections import login  # noqa: E402
from flywheel.goals import write_goals  # noqa: E402
from flywheel.settings import Settings  # noqa: E402
from flywheel.stack.down import end_stack, erase  # noqa: E402
from flywheel.stack.up import bring_up  # noqa: E402


def say(line: str) -> None:
    """Tell on standard error how the stack comes up."""
    sys.stderr.write(f"stack: {line}\n")


@contextmanager
def stack() -> Iterator[dict[str, str]]:
    """Run a stack in a temporary home; yield the environment with which a person acts on it."""
    home = Path(tempfile.mkdtemp(prefix="flywheel-benchmark-"))
    home.chmod(0o755)  # Postgres runs as nobody for root
    settings = Settings(home=home)
    try:
        bring_up(settings, say)
        yield login(settings, "ada")
    finally:
        end_stack(settings, patience=5)
        erase(settings)
        shutil.rmtree(home, ignore_errors=True)


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description="Training against its plain parts.")
    parser.add_argument("--trials", type=int, default=50, help="trials of the comparison with plain Optuna")
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the comparison with reading a file")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side of that comparison")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ingested, table = training_ingest.compare(Path(folder), options.rows, options.rounds)
    with stack() as environment, tempfile.TemporaryDirectory() as folder:
        os.environ.update(environment)
        goals, rows = training_search.measure(Path(folder), environment["FLYWHEEL_OPTUNA_URL"], options.trials)
    goals, rows = [*goals, *ingested], [*rows, *table]
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    for item in goals:
        print(f"{item.name:24}{item.value:>10}  {item.comparison} {item.target}  {'met' if item.met else 'missed'}")
    if options.json:
        write_goals(options.json, goals, rows)


if __name__ == "__main__":
    main()
