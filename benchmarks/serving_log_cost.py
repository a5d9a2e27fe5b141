"""What the prediction log costs an agent: one with it and one without, both up, asked in turns at 128 connections."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import closed_loop
from benchmarks.serving_agent import AGENT, UNLOGGED, agent, in_process, spooled_bytes
from benchmarks.serving_model import Served
from benchmarks.serving_peers import MLFLOW, Place, install
from benchmarks.serving_processes import ServerError, running
from flywheel.stack.ports import free_port

CONNECTIONS = 128
TURNS = 6


def log_cost(model: Served, cache: Path, seconds: float) -> dict[str, Any]:
    """Return requests/s of both, and the share of throughput that the log takes: the median of the turns.

    Raises:
        ServerError: An agent did not start, or the one with a log wrote nothing.
    """
    programs = install(MLFLOW, cache)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        sides = {}
        for label, module in (("logged", AGENT), ("unlogged", UNLOGGED)):
            sides[label] = place = Place(programs, free_port(), model, Path(name))
            stack.enter_context(running(agent(place, in_process(), module), Path(name) / f"{label}.log"))
        rates: dict[str, list[float]] = {label: [] for label in sides}
        for turn in range(TURNS):
            for label in list(sides) if turn % 2 else list(sides)[::-1]:
                rates[label].append(closed_loop(MLFLOW.target(model, sides[label].port), CONNECTIONS, seconds).rate())
        if not spooled_bytes(sides["logged"]):
            raise ServerError("the agent with a log has written nothing")
    cost = [1 - logged / unlogged for logged, unlogged in zip(rates["logged"], rates["unlogged"], strict=True)]
    return {
        "server": "prediction log",
        "logged_per_second": round(median(rates["logged"]), 1),
        "unlogged_per_second": round(median(rates["unlogged"]), 1),
        "cost": round(median(cost), 4),
        "spread": [round(min(cost), 4), round(max(cost), 4)],
    }
