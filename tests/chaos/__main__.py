"""Breaks a running data plane, and says which promise did not hold.

    python -m tests.chaos --kills 1000 --swaps 50 --outage-seconds 120 --json FILE
    python -m tests.chaos kills --kills 30 --seconds 180

Exit 1 when a promise was broken, or when less was done than was asked for. See tests/chaos/README.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flywheel.goals import write_goals
from tests.chaos import connections, drains, fuzz, gateway, kills, outages, swaps, transitions, underway
from tests.chaos.report import Report
from tests.chaos.world import world
from tests.deploy.shop import Shop

# By the stack that they break; `fuzz` starts what it needs.
REAL = ("kills", "drains", "outages", "gateway", "connections")
PARTS = (*REAL, "swaps", "swaps-tiny", "transitions", "underway", "fuzz")
SERVING = {"backend": "mlflow", "replicas": 3, "workers": 2}
SWAPPED = {"backend": "mlflow", "replicas": 2, "workers": 1}
# The table's width where nobody says how wide a line may be.
TABLE_COLUMNS = 110
TINY_SERVING = {"backend": "mlflow", "replicas": 2}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for; return the exit code."""
    options = _parse(arguments)
    reports = []
    for report in _reports(options):
        reports.append(report)
        sys.stderr.writelines(f"{report.part}: BROKEN: {sentence}\n" for sentence in report.broken)
        if options.json:  # at once: what follows may be interrupted
            write_goals(options.json, [one for each in reports for one in each.goals], [each.row() for each in reports])
    _print(reports)
    return int(not all(one.kept for one in reports))


def _reports(options: argparse.Namespace) -> Iterator[Report]:
    """Run one part after the other, those that break the same stack on one stack."""
    parts, home = options.parts or PARTS, options.home or Path(tempfile.mkdtemp(prefix="flywheel-chaos-"))
    if real := [name for name in REAL if name in parts]:
        with world(home / "real", SERVING, keep=options.keep) as shop:
            for name in real:
                yield _run(name, shop, options)
    if "swaps" in parts:
        with world(home / "swapped", SWAPPED, keep=options.keep) as shop:
            yield swaps.run(shop, swaps=options.swaps, seconds=options.seconds)
    if "swaps-tiny" in parts:
        with world(home / "tiny", TINY_SERVING, real=False, keep=options.keep) as shop:
            yield swaps.run(shop, swaps=options.swaps, seconds=options.seconds)
    if {"transitions", "underway"} & set(parts):
        with world(home / "ways", TINY_SERVING, real=False, keep=options.keep) as shop:
            where, headers = (shop.settings, home / "ways" / "registries"), shop.headers
            shop.close()  # what is live from the start would stand in the first way's documents, and in no other's
            if "transitions" in parts:
                yield transitions.run(*where, every=options.every, headers=headers)
            if "underway" in parts:
                yield underway.run(*where, seconds=options.outage_seconds, headers=headers)
    if "fuzz" in parts:
        yield fuzz.run(requests=options.requests, seed=options.seed)


def _run(name: str, shop: Shop, options: argparse.Namespace) -> Report:
    match name:
        case "kills":
            return kills.run(shop, kills=options.kills, seconds=options.seconds, seed=options.seed)
        case "drains":
            return drains.run(shop, drains=options.drains, seconds=options.seconds, seed=options.seed)
        case "outages":
            return outages.run(shop, seconds=options.outage_seconds)
        case "gateway":
            return gateway.run(shop, kills=options.gateway_kills)
        case _:
            return connections.run(shop, wanted=options.connections, seconds=options.hold_seconds)


def _print(reports: Sequence[Report]) -> None:
    columns = ("done", "of", "failed", "lost", "doubled", "worst s", "agent MB", "Envoy MB", "kept")
    table = Table("part", *columns, title="What was broken, and what held")
    for one in reports:
        counts = (one.done, one.wanted, one.failed, one.lost, one.doubled)
        peaks = [str(one.peaks_mb.get(kind, "")) for kind in ("agent", "gateway")]
        kept = "yes" if one.kept else "NO"
        table.add_row(one.part, *(f"{n:,}" for n in counts), f"{one.worst_seconds:.2f}", *peaks, kept)
    console = Console()
    console.width = max(console.width, TABLE_COLUMNS)
    console.print(table)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Break a running data plane.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which parts (all)")
    parser.add_argument("--kills", type=int, default=1000, help="processes to kill")
    parser.add_argument("--drains", type=int, default=100, help="agents to end with SIGTERM")
    parser.add_argument("--gateway-kills", type=int, default=50, help="of Envoy and its doorman together")
    parser.add_argument("--swaps", type=int, default=50, help="promotions, and as many rollbacks")
    parser.add_argument("--every", type=int, default=1, help="n: the controller dies at each n-th point of a rollout")
    parser.add_argument("--seconds", type=float, default=7200, help="after which a part that counts ends, done or not")
    parser.add_argument(
        "--outage-seconds", type=float, default=120, help="for which each part of the stack stands still"
    )
    parser.add_argument("--connections", type=int, default=10_000, help="open connections to hold")
    parser.add_argument("--hold-seconds", type=float, default=30, help="for which these stay open, each way")
    parser.add_argument("--requests", type=int, default=100_000, help="to fuzz with")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--home", type=Path, help="folder for the stacks (a temporary one)")
    parser.add_argument("--keep", action="store_true", help="leave the stacks' files and logs below --home")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
