"""What the prediction log costs an agent: one agent, asked in turns with its log on and off at 128 connections.

It is one process, since two agents that do the same differ by up to 5 %, as long as they live. The figure is of
throughput. The processor time of an answer is reported beside it: another process that takes a core for a while changes
the one and not the other.
"""

import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import closed_loop
from benchmarks.serving_agent import SWITCHED, agent, in_process, spooled_bytes
from benchmarks.serving_model import Served
from benchmarks.serving_peers import MLFLOW, Place, install
from benchmarks.serving_processes import ServerError, processor_seconds, running
from benchmarks.switched_agent import OFF, ON
from flywheel.stack.ports import free_port

CONNECTIONS = 128
# Many short turns: what else the machine does in a second changes one of them, and of many the median tells.
TURNS = 60
SECONDS = 1.0


@dataclass(frozen=True)
class Turn:
    """Requests/s, microseconds of processor time an answer, and bytes that were written meanwhile."""

    rate: float
    microseconds: float
    written: int


def log_cost(model: Served, cache: Path) -> dict[str, Any]:
    """Return requests/s with and without the log, and the share of throughput that it takes: the median of the turns.

    Raises:
        ServerError: The agent did not start, or its log did not follow the switch.
    """
    with tempfile.TemporaryDirectory() as name:
        place = Place(install(MLFLOW, cache), free_port(), model, Path(name))
        with running(agent(place, in_process(), SWITCHED), Path(name) / "agent.log") as pid:
            pairs = [_pair(place, pid, first=ON if turn % 2 else OFF) for turn in range(TURNS)]
    logged, unlogged = zip(*pairs, strict=True)
    if any(not turn.written for turn in logged) or any(turn.written for turn in unlogged):
        raise ServerError("the agent's log did not follow its switch")
    return {"server": "prediction log", **_cost(logged, unlogged)}


def _pair(place: Place, pid: int, first: signal.Signals) -> tuple[Turn, Turn]:
    """Return a turn with the log and one without."""
    turns = {switch: _turn(place, pid, switch) for switch in (first, OFF if first == ON else ON)}
    return turns[ON], turns[OFF]


def _turn(place: Place, pid: int, switch: signal.Signals) -> Turn:
    os.kill(pid, switch)
    closed_loop(MLFLOW.target(place.model, place.port), 1, 0.05, warm_up=0.0)  # by then it has heard
    written, taken = spooled_bytes(place), processor_seconds(pid)
    result = closed_loop(MLFLOW.target(place.model, place.port), CONNECTIONS, SECONDS, warm_up=0.0)
    taken = processor_seconds(pid) - taken
    return Turn(result.rate(), taken * 1e6 / max(result.statuses["200"], 1), spooled_bytes(place) - written)


def _cost(logged: tuple[Turn, ...], unlogged: tuple[Turn, ...]) -> dict[str, Any]:
    cost = sorted(1 - a.rate / b.rate for a, b in zip(logged, unlogged, strict=True))
    with_log, without = (median(turn.microseconds for turn in turns) for turns in (logged, unlogged))
    return {
        "logged_per_second": round(median(turn.rate for turn in logged), 1),
        "unlogged_per_second": round(median(turn.rate for turn in unlogged), 1),
        "cost": round(median(cost), 4),
        "quartiles": [round(cost[TURNS // 4], 4), round(cost[-TURNS // 4], 4)],
        "logged_microseconds": round(with_log, 1),
        "unlogged_microseconds": round(without, 1),
        "cost_in_processor_time": round(1 - without / with_log, 4),
    }
