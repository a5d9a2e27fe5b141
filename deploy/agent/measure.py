"""Asks both backends of a package the same rows: do they answer alike, and which is faster?

    python -m deploy.agent.measure --package DIR --scorer URL

The last line printed is one JSON object with `rows`, `parity` (holds, max_difference, tolerance, reason), and `mlflow`
and `onnx` (p50_ms of one row, rows_per_s of a batch). Deploy runs it before a version gets traffic.
"""

import argparse
import asyncio
import json
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.agent.backends.backend import Backend
from deploy.agent.backends.onnx import Onnx
from deploy.agent.backends.pool import Pool
from deploy.agent.backends.worker import Worker
from deploy.agent.outputs import Outputs
from deploy.agent.package import read_served
from flywheel.contract import Contract, ValidRow
from flywheel.errors import ContractError, FlywheelError
from flywheel.limits import PolicyLimits
from flywheel.package import INSIDE

# A value within a float's rounding of a tree's threshold falls on the other side of it: the gate's rule as well.
TOLERATED = 0.002
SAMPLE_ROWS = 1000
BATCH = 250
SINGLES = 30
SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.agent.measure", description="Hold ONNX against MLflow.")
    parser.add_argument("--package", type=Path, required=True, help="the version's model folder")
    parser.add_argument("--scorer", required=True, help="URL of a `mlflow models serve` of it that answers")
    options = parser.parse_args(arguments)
    try:
        found = asyncio.run(measure(options.package, options.scorer))
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        return fault.exit_code
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


async def measure(package: Path, scorer: str) -> dict[str, Any]:
    """Return what both backends answer and cost, over the package's sample and example.

    Raises:
        FlywheelError: A backend cannot be opened or fails on a row that keeps the contract.
    """
    served = read_served(package)
    contract = served.contract
    rows = [contract.validate_row(row) for row in served.example] + sample(package, contract)
    async with Pool([Worker(scorer, contract)]) as worker, Onnx(package, contract) as onnx:
        expected, found = await _answers(worker, rows), await _answers(onnx, rows)
        gaps = [difference(one, other) for one, other in zip(expected, found, strict=True)]
        return {
            "rows": len(rows),
            "parity": parity(gaps, PolicyLimits().onnx or 0.0),
            "mlflow": await _speed(worker, rows),
            "onnx": await _speed(onnx, rows),
        }


def sample(package: Path, contract: Contract) -> list[ValidRow]:
    """Read rows of the package's reference sample that keep the contract, evenly spread over it."""
    import polars as pl  # noqa: PLC0415  # after Onnx has set how many threads it may use

    path = package / INSIDE / "reference.parquet"
    if not path.is_file():
        return []
    frame = pl.read_parquet(path)
    names = [column.name for column in contract.columns]
    if not set(names) <= set(frame.columns):
        return []
    step = max(frame.height // SAMPLE_ROWS, 1)
    rows = frame.select(names).gather_every(step).to_dicts()
    return [valid for row in rows if (valid := _valid(contract, row)) is not None]


def difference(expected: Outputs | None, found: Outputs | None) -> float:
    """Return how far two answers to a row lie apart: absolute up to a size of 1, relative beyond it; 1 for others."""
    if expected is None or found is None:
        return float((expected is None) != (found is None))
    if expected.keys() != found.keys():
        return 1.0
    return max((_gap(expected[name], found[name]) for name in expected), default=0.0)


def parity(gaps: Sequence[float], tolerance: float) -> dict[str, Any]:
    """Judge the differences (n_rows): two rows in a thousand may lie on a threshold, the others must keep to it."""
    allowed = int(len(gaps) * TOLERATED)
    over = sum(gap > tolerance for gap in gaps)
    largest = max(gaps, default=0.0)
    holds = bool(gaps) and over <= allowed
    reason = "" if holds else f"{over} of {len(gaps)} rows differ by more than {tolerance:g}, the most by {largest:.2g}"
    return {"holds": holds, "max_difference": largest, "over": over, "tolerance": tolerance, "reason": reason}


def _gap(expected: float | str | bool, found: float | str | bool) -> float:
    if isinstance(expected, float) and isinstance(found, float):
        gap = abs(expected - found) / max(1.0, abs(expected))
        return gap if math.isfinite(gap) else 1.0
    return float(expected != found)


def _valid(contract: Contract, row: Mapping[str, Any]) -> ValidRow | None:
    """Read a row of the sample as a request would bring it; None where it breaks the contract, as old rows may."""
    written = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
    try:
        return contract.validate_row(written)
    except ContractError:
        return None


async def _answers(backend: Backend, rows: list[ValidRow]) -> list[Outputs | None]:
    answers: list[Outputs | None] = []
    for start in range(0, len(rows), BATCH):
        answers += await backend.score(rows[start : start + BATCH], SECONDS)
    return answers


async def _speed(backend: Backend, rows: list[ValidRow]) -> dict[str, float]:
    """Time single rows (median, after one to warm up) and one batch."""
    singles = [await _timed(backend, [rows[index % len(rows)]]) for index in range(SINGLES + 1)][1:]
    batch = rows[:BATCH]
    return {"p50_ms": statistics.median(singles) * 1000, "rows_per_s": len(batch) / await _timed(backend, batch)}


async def _timed(backend: Backend, rows: list[ValidRow]) -> float:
    began = time.perf_counter()
    await backend.score(rows, SECONDS)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
