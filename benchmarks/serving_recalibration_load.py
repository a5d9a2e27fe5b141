"""One agent whose answers are moved in every other turn, at 128 connections: throughput and processor time.

As with the log's cost (`benchmarks.serving_log_cost`) it is one process in many short turns, and the figure is the
median over pairs of turns. The agent is switched as in life: by a signed file that it finds within a second.
"""

import secrets
import shutil
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.load import closed_loop
from benchmarks.serving_agent import agent, in_process
from benchmarks.serving_log_cost import CONNECTIONS, SECONDS, TURNS, Turn
from benchmarks.serving_model import Served
from benchmarks.serving_peers import MLFLOW, Place, install
from benchmarks.serving_processes import ServerError, processor_seconds, running
from deploy.status.page import read_page
from flywheel.digest import folder_digest
from flywheel.package import INSIDE
from flywheel.recalibration import KEY_BYTES, Recalibrated
from flywheel.stack.ports import free_port
from flywheel.stack.probes import request

SHIFT = 0.25
HEARD_SECONDS = 10.0


class Moved:
    """An agent whose answers can be moved; lives in a folder.

    Args:
        model: What it serves; its package is copied, and the copy allows a shift.
        folder: For all that.
        cache: Where environments are kept.
    """

    def __init__(self, model: Served, folder: Path, cache: Path) -> None:
        self._key, self._file = secrets.token_bytes(KEY_BYTES), folder / "1.json"
        (folder / "key").write_text(self._key.hex())
        package = Path(shutil.copytree(model.package, folder / "package"))
        case = package / INSIDE / "usecase.yaml"
        document = yaml.safe_load(case.read_text())
        document.setdefault("monitor", {})["recalibrate"] = {"most": 1.0}
        case.write_text(yaml.safe_dump(document))
        self._digest = folder_digest(package)
        self.place = Place(install(MLFLOW, cache), free_port(), replace(model, package=package), folder)
        options = ["--recalibration", str(self._file), "--recalibration-key", str(folder / "key")]
        self.command = agent(self.place, [*in_process(), *options])

    def tell(self, shift: float) -> None:
        """Hand over a shift, and return when the agent serves it.

        Raises:
            ServerError: It does not.
        """
        now = datetime.now(UTC)
        told = Recalibrated(
            use_case="benchmark",
            version="1",
            digest=self._digest,
            shift=shift,
            as_of=now.replace(tzinfo=None),
            made=now,
        )
        new = self._file.with_suffix(".new")
        new.write_bytes(told.signed(self._key))
        new.replace(self._file)
        until = time.monotonic() + HEARD_SECONDS
        while self._served() != shift:
            if time.monotonic() > until:
                raise ServerError("the agent did not take its shift")
            time.sleep(0.05)

    def _served(self) -> float:
        _, page = request("GET", f"http://127.0.0.1:{self.place.port}/metrics")
        return read_page(page.decode()).shift

    def turn(self, pid: int, shift: float) -> Turn:
        """Measure a turn with this shift."""
        self.tell(shift)
        taken = processor_seconds(pid)
        result = closed_loop(MLFLOW.target(self.place.model, self.place.port), CONNECTIONS, SECONDS, warm_up=0.0)
        taken = processor_seconds(pid) - taken
        return Turn(result.rate(), taken * 1e6 / max(result.statuses["200"], 1), 0)


def load_cost(model: Served, cache: Path, turns: int = TURNS) -> dict[str, Any]:
    """Return what of throughput and of an answer's processor time a shift takes, as medians over pairs of turns.

    Raises:
        ServerError: The agent did not start, or did not follow its file.
    """
    with tempfile.TemporaryDirectory() as name:
        moved = Moved(model, Path(name), cache)
        with running(moved.command, Path(name) / "agent.log") as pid:
            pairs = []
            for number in range(turns):
                order = (SHIFT, 0.0) if number % 2 else (0.0, SHIFT)
                found = {shift: moved.turn(pid, shift) for shift in order}
                pairs.append((found[SHIFT], found[0.0]))
    cost = sorted(1 - one.rate / other.rate for one, other in pairs)
    work = sorted(one.microseconds / other.microseconds - 1 for one, other in pairs)
    return {
        "server": "recalibrated agent",
        "moved_per_second": round(median(one.rate for one, _ in pairs), 1),
        "plain_per_second": round(median(other.rate for _, other in pairs), 1),
        "cost": round(median(cost), 4),
        "quartiles": [round(cost[turns // 4], 4), round(cost[-1 - turns // 4], 4)],
        "cost_in_processor_time": round(median(work), 4),
        "quartiles_in_processor_time": [round(work[turns // 4], 4), round(work[-1 - turns // 4], 4)],
    }
