"""Does a rollout lose requests, keep its split, and act at once on a verdict?

    python -m benchmarks.rollout [--json FILE] [--quick] [--swaps N] [--rate N] [--home FOLDER]

Promotions and rollbacks by verdict, in turns, under a steady load through a real Envoy, with real agents and the real
controller on a stack of its own. See benchmarks/README.md.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.rollout_figures import Figures, figures_of
from benchmarks.rollout_model import write_version
from benchmarks.rollout_run import Run, running
from flywheel.events import EventKind
from flywheel.goals import Goal, goal, write_goals
from flywheel.settings import Settings
from flywheel.stack.down import end_stack, erase
from flywheel.stack.up import bring_up
from tests.deploy.shop import Shop, open_shop

RATE = 500.0
SWAPS, QUICK_SWAPS = 50, 5
# Pause at a step: with 50 promotions 100,000 requests a step tell its share to ± 0.5 % (three standard errors).
PAUSE, QUICK_PAUSE = "4s", "2s"
WAY = {"shadow": None, "steps": [10, 50], "guard": ["errors"], "margin": 0.2, "least_requests": 100, "bake": "0s"}
SERVING = {"defaults": {"backend": "onnx", "deadline_seconds": 5}}
NAME = "benchmark"
PROMOTED, BACK = (EventKind.ROLLOUT_PROMOTED, "done"), (EventKind.ROLLOUT_ROLLED_BACK, "done")
SWAP_SECONDS = 180.0


def main() -> None:
    """Swap, print the table, and write the figures."""
    options, began = _parse(), time.monotonic()
    swaps = options.swaps or (QUICK_SWAPS if options.quick else SWAPS)
    home = options.home or Path(tempfile.mkdtemp(prefix="flywheel-rollout-"))
    figures = measured(home, swaps, QUICK_PAUSE if options.quick else PAUSE, options.rate)
    goals = goals_of(figures)
    show(figures, goals)
    Console().print(f"{swaps} promotions and {swaps} rollbacks; took {time.monotonic() - began:.0f} s")
    if options.json:
        write_goals(options.json, goals, figures.rows())


def measured(home: Path, swaps: int, pause: str, rate: float) -> Figures:
    """Promote and roll back on a stack of its own, which then goes.

    Args:
        home: Of the stack.
        swaps: Promotions, and as many rollbacks.
        pause: At each step.
        rate: Requests a second.
    """
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    settings = Settings(home=home)
    (home / "serving.yaml").write_text(yaml.safe_dump(SERVING))
    try:
        bring_up(settings, lambda line: None)
        shop = open_shop(settings, NAME, home / "registry")
        shop.way = {**WAY, "pause": pause}
        return swapped(shop, swaps, rate)
    finally:
        end_stack(settings, patience=5)
        erase(settings)
        shutil.rmtree(home, ignore_errors=True)


def swapped(shop: Shop, swaps: int, rate: float) -> Figures:
    """Promote and roll back a use case of which nothing is live yet."""
    with running(shop, rate) as run:
        approve(shop, "1")
        run.wait("1", {PROMOTED}, SWAP_SECONDS)
        run.load()
        for number in range(1, swaps + 1):
            _swap(shop, run, str(2 * number), failing=False)
            _swap(shop, run, str(2 * number + 1), failing=True)
        answers = run.end_load()
    return figures_of(run.events(), answers)


def _swap(shop: Shop, run: Run, version: str, *, failing: bool) -> None:
    approve(shop, version, failing=failing)
    found = run.wait(version, {PROMOTED, BACK}, SWAP_SECONDS)
    if (found == BACK) != failing:
        raise RuntimeError(f"version {version} ended as {found}: {run.log()}")


def approve(shop: Shop, version: str, *, failing: bool = False) -> None:
    """Approve a version, whose package is written first."""

    def write(folder: Path, document: Mapping[str, Any]) -> Path:
        return write_version(folder, document, version, failing=failing)

    shop.write = write
    shop.approve(version)


def goals_of(figures: Figures) -> list[Goal]:
    """Hold what was measured against the goals."""
    return [
        goal("failed_requests", figures.failed, "==", 0),
        goal("unnamed_responses", figures.unnamed, "==", 0),
        goal("split_error", figures.split_error, "<=", 0.01),
        goal("verdict_to_route_p99_s", figures.quantile(0.99), "<=", 1.0),
    ]


def show(figures: Figures, goals: list[Goal]) -> None:
    """Print what was measured."""
    table = Table("step", "requests", "configured", "measured", "three standard errors", title="The split")
    for step in figures.steps:
        table.add_row(
            f"{step.percent} %", f"{step.requests:,}", f"{step.percent / 100}", f"{step.share:.4f}", f"{step.noise:.4f}"
        )
    times = Table("way", "swaps", "p50 s", "p99 s", "worst s", "last old answer, worst s", title="Verdict to route")
    for row in figures.times():
        times.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    console = Console()
    console.print(table, times)
    for one in goals:
        console.print(f"{one.name} {one.value:g} {one.comparison} {one.target:g}: {'met' if one.met else 'MISSED'}")
    console.print(f"{figures.requests:,} requests")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollout", description="Measure rollouts under load.")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SWAPS} promotions and {QUICK_SWAPS} rollbacks")
    parser.add_argument("--swaps", type=int, help="promotions, and as many rollbacks")
    parser.add_argument("--rate", type=float, default=RATE, help=f"requests a second ({RATE:g})")
    parser.add_argument("--home", type=Path, help="folder for the stack (a temporary one); it is erased")
    return parser.parse_args()


if __name__ == "__main__":
    main()
