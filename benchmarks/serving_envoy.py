"""Envoy in the path: an agent asked straight and through a gateway with the generated configuration, in turns."""

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import Target, closed_loop, http_request
from benchmarks.serving_agent import agent, in_process
from benchmarks.serving_model import Served
from benchmarks.serving_peers import MLFLOW, Place, install
from benchmarks.serving_processes import Command, running
from deploy.gateway.clusters import cluster_document
from deploy.gateway.documents import write_document
from deploy.gateway.routes import route_document
from deploy.gateway.traffic import Backend, Replica, Split
from flywheel.settings import Settings
from flywheel.stack import gateway
from flywheel.stack.ports import Ports, free_port

USE_CASE = "benchmark"
TURNS = 5


def added_ms(model: Served, cache: Path, seconds: float) -> dict[str, Any]:
    """Return the p50 of both ways at one connection and their difference, medians of the turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = Place(install(MLFLOW, cache), free_port(), model, folder)
        with running(agent(place, in_process()), folder / "agent.log"):
            command = envoy(folder / "home", place.port)
            with running(command, folder / "envoy.log"):
                straight = MLFLOW.target(model, place.port)
                requests = [
                    http_request(f"/{USE_CASE}/invocations", MLFLOW.body(model, row)) for row in model.rows[:4096]
                ]
                return _in_turns(straight, Target(command.port, requests, straight.marker), seconds)


def _in_turns(straight: Target, through: Target, seconds: float) -> dict[str, Any]:
    times: dict[str, list[float]] = {"straight": [], "through": []}
    statuses: dict[str, int] = {}
    for _ in range(TURNS):
        for way, target in (("straight", straight), ("through", through)):
            result = closed_loop(target, 1, seconds)
            times[way].append(result.quantile_ms(0.5))
            for status, count in result.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
    added = median(b - a for a, b in zip(times["straight"], times["through"], strict=True))
    return {
        "server": "Envoy before the agent",
        "straight_p50_ms": round(median(times["straight"]), 3),
        "through_p50_ms": round(median(times["through"]), 3),
        "added_p50_ms": round(added, 3),
        "statuses": statuses,
    }


def envoy(home: Path, agent_port: int) -> Command:
    """Write the gateway's configuration with one use case at 100 %, and return how it is started."""
    settings = Settings(home=home)
    ports = Ports(postgres=1, s3=1, mlflow=1, gateway=free_port(), envoy_admin=free_port())
    (home / "logs").mkdir(parents=True)
    gateway.write_configuration(settings, ports)
    backend = Backend(USE_CASE, "1", (Replica(agent_port),))
    write_document(home / "envoy" / "dynamic" / "cds.json", cluster_document([backend], [Split(backend)]))
    write_document(home / "envoy" / "dynamic" / "rds.json", route_document([Split(backend)]))
    return Command(gateway.program(settings).command, ports.gateway, f"/{USE_CASE}/ping")
