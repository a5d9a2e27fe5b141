"""Plays histories of controller and gate, and says which promise did not hold.

    python -m tests.simulation --histories 5000 [--first-seed N]
    python -m tests.simulation --seed N

The second replays one history with its log. Exit 1 when a promise was broken.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.simulation.history import played


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what was asked for; return the exit code."""
    options = _parse(arguments)
    if options.seed is not None:
        return _replayed(options.seed)
    began, seen, broken = time.monotonic(), Counter[str](), dict[int, str]()
    for seed in range(options.first_seed, options.first_seed + options.histories):
        try:
            world, fault = played(seed)
        except Exception:  # noqa: BLE001  # whatever ends a controller is a finding, and the next seed has its turn
            broken[seed] = traceback.format_exc(limit=-3)
        else:
            seen += world.seen
            if fault is not None:
                broken[seed] = str(fault)
        if seed in broken:
            sys.stderr.write(f"seed {seed}: {broken[seed]}\n")
    _print(seen)
    took = time.monotonic() - began
    sys.stdout.write(f"{options.histories} histories in {took:.0f} s; broken: {len(broken)} {sorted(broken)[:20]}\n")
    return int(bool(broken))


def _replayed(seed: int) -> int:
    world, fault = played(seed)
    sys.stdout.writelines(f"{line}\n" for line in [*world.said, f"seed {seed}: {fault or 'every promise held'}"])
    return int(fault is not None)


def _print(seen: Counter[str]) -> None:
    table = Table("what happened", "how often", title="What the histories reached")
    for what, count in sorted(seen.items()):
        table.add_row(what, f"{count:,}")
    Console().print(table)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Play histories of rollouts.")
    parser.add_argument("--seed", type=int, help="replay this history, with its log")
    parser.add_argument("--histories", type=int, default=200, help="how many to play")
    parser.add_argument("--first-seed", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
