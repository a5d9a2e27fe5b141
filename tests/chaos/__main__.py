"""Breaks a running data plane, and says which promise did not hold.

    python -m tests.chaos --kills 1000 --swaps 50 --outage-seconds 120 --json FILE
    python -m tests.chaos kills --kills 30 --seconds 180

Exit 1 when a promise was broken. See tests/chaos/README.md.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.chaos import connections, gateway, kills, outages, swaps
from tests.chaos.report import Report
from tests.chaos.world import world
from tests.deploy.conftest import ENVIRONMENT, ROOT
from tests.deploy.shop import Shop

PARTS = ("kills", "outages", "gateway", "connections", "swaps")
# Contributed by other rooms: programs that break one thing each and end with 0 when nothing broke.
PROGRAMS = ("shipper", "fuzz")
SERVING = {"backend": "mlflow", "replicas": 3, "workers": 2}
TINY_SERVING = {"backend": "mlflow", "replicas": 2}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for; return the exit code."""
    options = _parse(arguments)
    parts = options.parts or [*PARTS, *(name for name in PROGRAMS if importlib.util.find_spec(f"tests.chaos.{name}"))]
    reports = []
    home = options.home or Path(tempfile.mkdtemp(prefix="flywheel-chaos-"))
    real = [name for name in parts if name in PARTS and name != "swaps"]
    if real:
        with world(home / "real", SERVING, keep=options.keep) as shop:
            reports += [_show(_run(name, shop, options)) for name in real]
    if "swaps" in parts:
        with world(home / "tiny", TINY_SERVING, real=False, keep=options.keep) as shop:
            reports.append(_show(swaps.run(shop, swaps=options.swaps, seconds=options.seconds)))
    reports += [_show(_program(name)) for name in parts if name in PROGRAMS]
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in reports], indent=1))
    return int(any(one.broken for one in reports))


def _run(name: str, shop: Shop, options: argparse.Namespace) -> Report:
    match name:
        case "kills":
            return kills.run(shop, kills=options.kills, seconds=options.seconds, seed=options.seed)
        case "outages":
            return outages.run(shop, seconds=options.outage_seconds)
        case "gateway":
            return gateway.run(shop, kills=max(options.kills // 50, 2))
        case _:
            return connections.run(shop, wanted=options.connections)


def _program(name: str) -> Report:
    code = subprocess.run(
        [sys.executable, "-m", f"tests.chaos.{name}"], env=ENVIRONMENT, cwd=ROOT, check=False
    ).returncode
    report = Report(name, {"exit": code})
    report.expect(code == 0, f"it ended with {code}")
    return report


def _show(report: Report) -> Report:
    sys.stdout.write(f"{report.part}: {json.dumps(report.figures)}\n")
    sys.stdout.writelines(f"{report.part}: BROKEN: {sentence}\n" for sentence in report.broken)
    sys.stdout.flush()
    return report


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Break a running data plane.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, *PROGRAMS, []], help="which parts (all)")
    parser.add_argument("--kills", type=int, default=1000, help="processes to kill")
    parser.add_argument("--swaps", type=int, default=50, help="promotions, and as many rollbacks")
    parser.add_argument("--seconds", type=float, default=7200, help="after which kills and swaps end, done or not")
    parser.add_argument(
        "--outage-seconds", type=float, default=120, help="for which each part of the stack stands still"
    )
    parser.add_argument("--connections", type=int, default=10_000, help="open connections to hold")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--home", type=Path, help="folder for the stacks (a temporary one)")
    parser.add_argument("--keep", action="store_true", help="leave the stacks' files and logs below --home")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
