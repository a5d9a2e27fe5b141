"""What does moving its answers cost an agent?

    python -m benchmarks.serving_recalibration [--json FILE] [--quick] [--cache FOLDER]

The agent's application with ONNX and its prediction log runs in this process, and 128 requests of one row at a time are
asked with a shift and without, in turns; the figure is the median over pairs of processor time. Without sockets an
answer is cheaper than in life, so that the share is larger. Beside it stands a whole agent at 128 connections
(`benchmarks.serving_recalibration_load`), whose figure shows whatever else the machine does as well.
"""

import argparse
import asyncio
import gc
import logging
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import structlog
import uvloop

from benchmarks.serving import CACHE
from benchmarks.serving_model import Served, served
from benchmarks.serving_recalibration_load import SHIFT, load_cost
from deploy.agent.backends.onnx import Onnx
from deploy.agent.dataplane import DataPlane
from deploy.agent.health import Health
from deploy.agent.http import Request
from deploy.agent.level import Level
from deploy.agent.limits import Limits
from deploy.agent.package import read_served
from deploy.agent.recording import Identity
from deploy.agent.rest.app import Paths
from deploy.agent.spool import Spool
from flywheel.goals import goal, write_goals
from flywheel.monitor_spec import Recalibrate
from flywheel.recalibration import KEY_BYTES, Recalibrated
from flywheel.serving import UseCaseServing

AT_ONCE, PAIRS, WARM_UP = 128, 2500, 20
OWN = Identity("benchmark", "1", "sha256:benchmark")


@dataclass(frozen=True)
class Bench:
    """An application, what moves its answers, and requests to ask it."""

    app: Paths
    level: Level
    files: tuple[Path, Path]
    requests: list[Request]

    def tell(self, shift: float) -> None:
        """Have the answers moved by this from now on."""
        now = datetime.now(UTC)
        told = Recalibrated(
            use_case=OWN.use_case,
            version=OWN.version,
            digest=OWN.digest,
            shift=shift,
            as_of=now.replace(tzinfo=None),
            made=now,
        )
        file, key = self.files
        file.with_suffix(".new").write_bytes(told.signed(bytes.fromhex(key.read_text())))
        file.with_suffix(".new").replace(file)
        self.level.look(now)

    async def turn(self) -> float:
        """Return microseconds of processor time an answer."""
        began = time.process_time()
        answers = await asyncio.gather(*(self.app.handle(request) for request in self.requests))
        taken = time.process_time() - began
        assert all(answer.status == 200 for answer in answers)  # noqa: S101  # else nothing was measured
        return taken / len(answers) * 1e6


@asynccontextmanager
async def bench(model: Served, folder: Path) -> AsyncIterator[Bench]:
    """Yield the application with a spool below a folder."""
    package, limits = read_served(model.package), Limits.of(UseCaseServing())
    file, key = folder / "1.json", folder / "key"
    key.write_text("6b" * KEY_BYTES)
    level = Level(OWN, Recalibrate(), 0.5, file=file, key=key)
    bodies = [orjson.dumps({"dataframe_records": [row]}) for row in model.rows[:AT_ONCE]]
    requests = [Request("POST", "/invocations", {b"content-type": b"application/json"}, body) for body in bodies]
    with Spool(folder / "spool", package.contract.model_dump_json().encode(), limits) as spool:
        async with Onnx(model.package, package.contract) as backend:
            plane = DataPlane(
                OWN, package.contract, score=backend.score, append=spool.append, limits=limits, level=level
            )
            task = asyncio.create_task(plane.batcher.run())
            app = Paths(plane, Health(backend, plane.validate(package.example)), limits)
            yield Bench(app, level, (file, key), requests)
            task.cancel()


async def application_cost(model: Served, pairs: int) -> dict[str, Any]:
    """Return what a shift adds to the processor time of an answer, as the median over pairs of turns."""
    with tempfile.TemporaryDirectory() as folder:
        async with bench(model, Path(folder)) as made:
            for _ in range(WARM_UP):
                await made.turn()
            gc.freeze()
            found = []
            for number in range(pairs):
                taken = {}
                for shift in (SHIFT, 0.0) if number % 2 else (0.0, SHIFT):
                    made.tell(shift)
                    taken[shift] = await made.turn()
                found.append((taken[SHIFT], taken[0.0]))
    cost = sorted(moved / plain - 1 for moved, plain in found)
    return {
        "server": "application",
        "moved_microseconds": round(median(moved for moved, _ in found), 2),
        "plain_microseconds": round(median(plain for _, plain in found), 2),
        "cost": round(median(cost), 4),
        "quartiles": [round(cost[pairs // 4], 4), round(cost[-1 - pairs // 4], 4)],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="a fifth of the turns")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the model is kept")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # it is told each turn
    model, part = served(options.cache), 5 if options.quick else 1
    rows = [uvloop.run(application_cost(model, PAIRS // part)), load_cost(model, options.cache, 60 // part)]
    one = goal("recalibration_cost", rows[0]["cost"], "<=", 0.02)
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()))
    print(f"{one.name} {one.value:.4f} {one.comparison} {one.target:g}  {'met' if one.met else 'NOT MET'}")
    if options.json:
        write_goals(options.json, [one], rows)


if __name__ == "__main__":
    main()
