"""What does the registry in MLflow's server cost a call? Calls to both servers take turns, one connection each."""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import requests

from benchmarks.registry_servers import Server
from flywheel.goals import Goal, goal

LOGGING = ("log_metric", "log_batch")
SEARCHES = ("search runs", "search versions")
MODEL_FILES = ("MLmodel", "data/model.bin")
Call = Callable[[], requests.Response]


def measure(plain: Server, ours: Server, rounds: int) -> tuple[list[Goal], list[dict[str, Any]]]:
    """Time logging, searches and transitions on both servers in turns; `rounds` calls of each kind a server."""
    took: dict[str, list[list[float]]] = {}
    sides = [_calls(plain), _calls(ours)]
    for name in (*LOGGING, *SEARCHES, "to Staging", "to Production"):
        wanted = rounds if name in LOGGING + SEARCHES else max(rounds // 10, 20)
        took[name] = _in_turns([side[name] for side in sides], wanted)
    medians = {name: [statistics.median(times) * 1000 for times in both] for name, both in took.items()}
    ratios = {name: ours_ms / plain_ms for name, (plain_ms, ours_ms) in medians.items()}
    extra = max(medians[name][1] - medians[name][0] for name in ("to Staging", "to Production"))
    goals = [
        goal("logging_overhead_ratio", round(max(ratios[name] for name in LOGGING), 3), "<=", 1.1),
        goal("search_overhead_ratio", round(max(ratios[name] for name in SEARCHES), 3), "<=", 1.1),
        goal("transition_extra_ms", round(extra, 1), "<=", 20),
    ]
    rows = [
        {
            "what": name,
            "MLflow ms": round(both[0], 2),
            "Flywheel ms": round(both[1], 2),
            "ratio": round(ratios[name], 3),
        }
        for name, both in medians.items()
    ]
    return goals, rows


def _in_turns(sides: Sequence[Call], rounds: int) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(5):
        for call in sides:
            call().raise_for_status()
    for turn in range(rounds):
        order = range(len(sides)) if turn % 2 else reversed(range(len(sides)))
        for side in order:
            began = time.perf_counter()
            answer = sides[side]()
            times[side].append(time.perf_counter() - began)
            answer.raise_for_status()
    return times


def _calls(server: Server) -> dict[str, Call]:
    """Prepare runs and versions on a server; return the calls that are timed."""
    ada, grace = server.session("ada"), server.session("grace")
    experiment = str(server.made(ada, "experiments/create", name="overhead")["experiment_id"])
    run = str(server.made(ada, "runs/create", experiment_id=experiment)["run"]["info"]["run_id"])
    model, version = "overhead", register(server, ada, experiment, "overhead")
    _let_edit(server, model)
    steps = itertools.count()
    batch = [{"key": f"metric-{n}", "value": n / 7, "timestamp": 1, "step": 0} for n in range(20)]

    def metric() -> requests.Response:
        return server.post(ada, "runs/log-metric", run_id=run, key="loss", value=0.5, timestamp=1, step=next(steps))

    def move(stage: str) -> Call:
        def call() -> requests.Response:
            return server.post(
                grace,
                "model-versions/transition-stage",
                name=model,
                version=version,
                stage=stage,
                archive_existing_versions=False,
            )

        return call

    def versions() -> requests.Response:
        return ada.get(f"{server.url}/api/2.0/mlflow/model-versions/search", params={"filter": f"name='{model}'"})

    return {
        "log_metric": metric,
        "log_batch": lambda: server.post(ada, "runs/log-batch", run_id=run, metrics=batch),
        "search runs": lambda: server.post(ada, "runs/search", experiment_ids=[experiment], max_results=100),
        "search versions": versions,
        "to Staging": move("Staging"),
        "to Production": move("Production"),
    }


def register(server: Server, session: requests.Session, experiment: str, model: str) -> str:
    """Log a small model folder and register it; create the model where it is missing. Return the version."""
    server.post(session, "registered-models/create", name=model)
    run = str(server.made(session, "runs/create", experiment_id=experiment)["run"]["info"]["run_id"])
    folder = f"{experiment}/{run}/artifacts/model"
    for name in MODEL_FILES:
        url = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{folder}/{name}"
        session.put(url, data=f"{name} of {run}".encode(), timeout=60).raise_for_status()
    made = server.made(session, "model-versions/create", name=model, source=f"mlflow-artifacts:/{folder}", run_id=run)
    return str(made["model_version"]["version"])


def _let_edit(server: Server, model: str) -> None:
    """Give the reviewer MLflow's EDIT where the server does not by itself."""
    body = {"username": "grace", "resource_type": "registered_model", "resource_id": model, "permission": "EDIT"}
    url = f"{server.url}/api/3.0/mlflow/users/permissions/grant"
    server.session("admin").post(url, json=body, timeout=60)  # refused where that is granted already
