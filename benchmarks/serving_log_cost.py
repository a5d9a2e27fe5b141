"""What the prediction log costs an agent: one with it and one without, both up, asked in turns at 128 connections.

The figure is of throughput. The processor time of an answer is reported beside it: another process that takes a core
for a while changes the one and not the other.
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import closed_loop
from benchmarks.serving_agent import AGENT, UNLOGGED, agent, in_process, spooled_bytes
from benchmarks.serving_model import Served
from benchmarks.serving_peers import MLFLOW, Place, install
from benchmarks.serving_processes import ServerError, processor_seconds, running
from flywheel.stack.ports import free_port

CONNECTIONS = 128
TURNS = 10


@dataclass
class Side:
    """One agent, and what each turn gave: requests/s, and microseconds of processor time an answer."""

    place: Place
    pid: int
    rates: list[float] = field(default_factory=list)
    microseconds: list[float] = field(default_factory=list)

    def turn(self, seconds: float) -> None:
        """Ask once."""
        before = processor_seconds(self.pid)
        result = closed_loop(MLFLOW.target(self.place.model, self.place.port), CONNECTIONS, seconds, warm_up=0.0)
        taken = processor_seconds(self.pid) - before
        self.rates.append(result.rate())
        self.microseconds.append(taken * 1e6 / max(result.statuses["200"], 1))


def log_cost(model: Served, cache: Path, seconds: float) -> dict[str, Any]:
    """Return requests/s of both, and the share of throughput that the log takes: the median of the turns.

    Raises:
        ServerError: An agent did not start, or the one with a log wrote nothing.
    """
    programs = install(MLFLOW, cache)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        sides = []
        for module in (AGENT, UNLOGGED):
            place = Place(programs, free_port(), model, Path(name))
            pid = stack.enter_context(running(agent(place, in_process(), module), Path(name) / f"{module}.log"))
            sides.append(Side(place, pid))
        for turn in range(TURNS):
            for side in sides if turn % 2 else sides[::-1]:
                side.turn(seconds)
        logged, unlogged = sides
        if not spooled_bytes(logged.place) or spooled_bytes(unlogged.place) > spooled_bytes(logged.place) / 10:
            raise ServerError("the agents did not differ in what they wrote")
    return {"server": "prediction log", **_cost(logged, unlogged)}


def _cost(logged: Side, unlogged: Side) -> dict[str, Any]:
    cost = [1 - a / b for a, b in zip(logged.rates, unlogged.rates, strict=True)]
    with_log, without = median(logged.microseconds), median(unlogged.microseconds)
    return {
        "logged_per_second": round(median(logged.rates), 1),
        "unlogged_per_second": round(median(unlogged.rates), 1),
        "cost": round(median(cost), 4),
        "spread": [round(min(cost), 4), round(max(cost), 4)],
        "logged_microseconds": round(with_log, 1),
        "unlogged_microseconds": round(without, 1),
        "cost_in_processor_time": round(1 - without / with_log, 4),
    }
