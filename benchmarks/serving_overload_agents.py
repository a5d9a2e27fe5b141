"""Both kinds of agent under three times their peak, as they are by default; the figure is the worse of the two.

Requests carry many rows, so that what bounds the peak is the model. With one row a request it is what takes and answers
requests: client, agent and worker share this machine's cores, three times the peak takes the client alone most of one,
and what turning away costs comes off what is answered. That is measured as well, and does not count.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load import Target, http_request
from benchmarks.serving_agent import agent, before_worker, in_process
from benchmarks.serving_model import Served
from benchmarks.serving_overload import MANY, ONE, Load, Overloaded, overload
from benchmarks.serving_peers import MLFLOW, Place, install, mlflow_body, mlflow_serve
from benchmarks.serving_processes import running
from flywheel.stack.ports import free_port


def overloads(model: Served, cache: Path, seconds: float) -> dict[str, Any]:
    """Return what came of each, and the smaller share of its peak that a default agent still answered in time."""
    programs = install(MLFLOW, cache)
    found = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)

        def measured(label: str, arguments: list[str], load: Load) -> Overloaded:
            place = Place(programs, free_port(), model, folder)
            with running(agent(place, arguments), folder / f"{label}.log"):
                return overload(asked(model, place.port, load.rows), load, seconds)

        found["onnx"] = measured("onnx", in_process(), MANY)
        worker = Place(programs, free_port(), model, folder)
        stack.enter_context(running(mlflow_serve(worker), folder / "worker.log"))
        found["mlflow"] = measured("mlflow", before_worker(worker.port), MANY)
        lone = measured("lone", before_worker(worker.port), ONE)
    shares = {backend: round(one.goodput / one.peak, 3) for backend, one in found.items()}
    figures = {backend: one.row(backend) for backend, one in found.items()}
    beside = {"share": round(lone.goodput / lone.peak, 3), **lone.row("mlflow, one row a request")}
    return {
        "server": "overload",
        "goodput_of_peak": min(shares.values()),
        "shares": shares,
        **figures,
        "not counted": beside,
    }


def asked(model: Served, port: int, rows: int) -> Target:
    """Return requests of so many distinct rows each."""
    if rows == 1:
        return MLFLOW.target(model, port)
    groups = [model.rows[start : start + rows] for start in range(0, len(model.rows) - rows + 1, rows)]
    requests = [http_request(MLFLOW.path, mlflow_body(model, *group)) for group in groups]
    return Target(port, requests, b'"probability"', rows)
