"""Who is measured, in turns: A B C A B C …, each started anew every round; medians of the rounds with their spread."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import Measured, closed_loop
from benchmarks.serving_agent import agent, before_worker, in_process
from benchmarks.serving_model import Served
from benchmarks.serving_peers import MLFLOW, RAW, RIVALS, Peer, Place, install, mlflow_serve
from benchmarks.serving_processes import ServerError, resident_mb, running
from flywheel.stack.ports import free_port

CONNECTIONS = (1, 32, 128)
AGENT_MLFLOW = "Flywheel, same mlflow worker"
AGENT_ONNX = "Flywheel, ONNX"


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    seconds: float
    model: Served
    cache: Path


@dataclass
class Table:
    """All that was measured: by server and connections, one entry a round; and who could not be measured, and why."""

    measured: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, connections: int, result: Measured, wrong: int) -> None:
        """Keep one measurement."""
        self.measured.setdefault((name, connections), []).append(
            {
                "requests_per_second": result.rate(),
                "p50_ms": result.quantile_ms(0.5),
                "p99_ms": result.quantile_ms(0.99),
                "statuses": dict(result.statuses) | ({"wrong": wrong} if wrong else {}),
                "compared": len(result.sample),
            }
        )

    def value(self, name: str, connections: int, figure: str) -> float | None:
        """Return the median of a figure over the rounds; None for who was not measured, or answered wrongly."""
        rounds = self.measured.get((name, connections))
        if not rounds or name in self.failed:
            return None
        return float(median(one[figure] for one in rounds))

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a server and number of connections, for people and machines."""
        return [_row(self, *key, rounds) for key, rounds in self.measured.items()]


def _row(table: Table, name: str, connections: int, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    rates = [one["requests_per_second"] for one in rounds]
    statuses: Counter[str] = Counter()
    for one in rounds:
        statuses.update(one["statuses"])
    return {
        "server": name,
        "connections": connections,
        **{figure: round(median(one[figure] for one in rounds), 3) for figure in rounds[0] if figure.endswith("_ms")},
        "requests_per_second": round(median(rates), 1),
        "spread": [round(min(rates), 1), round(max(rates), 1)],
        "statuses": dict(statuses),
        "memory_mb": round(table.memory_mb[name], 1) if name in table.memory_mb else None,
        "answers_compared": sum(one["compared"] for one in rounds),
        "runs": table.runs.get(name, ""),
    }


def measure_all(plan: Plan, table: Table, peers: Sequence[Peer]) -> None:
    """Measure everybody for all rounds; who fails once is left out of the rest."""
    for number in range(plan.rounds):
        for peer in peers:
            if peer is MLFLOW:
                _attempt(table, AGENT_MLFLOW, lambda: _pair(plan, table))
            else:
                _attempt(table, peer.name, lambda peer=peer: _peer(plan, table, peer))
        _attempt(table, AGENT_ONNX, lambda: _onnx(plan, table))
        print(f"round {number + 1} of {plan.rounds} done", flush=True)


def _attempt(table: Table, name: str, measure: Any) -> None:
    if name in table.failed:
        return
    try:
        measure()
    except (ServerError, OSError, TimeoutError) as fault:
        table.failed[name] = str(fault) or type(fault).__name__
        print(f"{name}: not measured: {table.failed[name]}", flush=True)


def _peer(plan: Plan, table: Table, peer: Peer) -> None:
    programs = install(peer, plan.cache)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(programs, free_port(), plan.model, Path(folder))
        with running(peer.command(place), Path(folder) / "log"):
            _ask(plan, table, peer.name, peer, place.port)
    table.runs[peer.name] = f"{', '.join(peer.packages)}: {peer.runs}"


def _pair(plan: Plan, table: Table) -> None:
    """Measure `mlflow models serve` alone, then the same process behind an agent."""
    programs = install(MLFLOW, plan.cache)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        worker = Place(programs, free_port(), plan.model, Path(folder))
        front = Place(programs, free_port(), plan.model, Path(folder))
        stack.enter_context(running(mlflow_serve(worker), Path(folder) / "worker.log"))
        _ask(plan, table, MLFLOW.name, MLFLOW, worker.port)
        pid = stack.enter_context(running(agent(front, before_worker(worker.port)), Path(folder) / "agent.log"))
        _ask(plan, table, AGENT_MLFLOW, MLFLOW, front.port)
        table.memory_mb[AGENT_MLFLOW] = resident_mb(pid)
    table.runs[MLFLOW.name] = MLFLOW.runs
    table.runs[AGENT_MLFLOW] = "validation, metrics and log on, no cache; the worker of the row before"


def _onnx(plan: Plan, table: Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(install(MLFLOW, plan.cache), free_port(), plan.model, Path(folder))
        with running(agent(place, in_process()), Path(folder) / "log") as pid:
            _ask(plan, table, AGENT_ONNX, MLFLOW, place.port)
            table.memory_mb[AGENT_ONNX] = resident_mb(pid)
    table.runs[AGENT_ONNX] = "validation, metrics and log on, no cache; features.py and model.onnx in the process"


def _ask(plan: Plan, table: Table, name: str, form: Peer, port: int) -> None:
    target = form.target(plan.model, port)
    for connections in CONNECTIONS:
        result = closed_loop(target, connections, plan.seconds)
        wrong = form.wrong(plan.model, result.sample) + result.statuses["wrong"]
        table.add(name, connections, result, wrong)
        if wrong or not result.statuses["200"]:
            raise ServerError(f"it answered {dict(result.statuses)}, {wrong} of them not what the model says")


def everybody() -> Iterator[Peer]:
    """Yield the limit and the rivals."""
    yield RAW
    yield from RIVALS
