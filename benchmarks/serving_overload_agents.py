"""Both kinds of agent under three times their peak, as they are by default; the figure is the worse of the two.

A third agent is measured beside them, and does not count: one whose batches are so small that the model is the
bottleneck. With full batches this machine's two cores are the capacity, for client, agent and worker together, so what
refusals cost comes off what is answered; a model that has cores of its own leaves the agent's to refuse with.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.serving_agent import agent, before_worker, in_process
from benchmarks.serving_model import Served
from benchmarks.serving_overload import Overloaded, overload
from benchmarks.serving_peers import MLFLOW, Place, install, mlflow_serve
from benchmarks.serving_processes import running
from flywheel.stack.ports import free_port

SMALL_BATCHES = ("--serving", '{"batch_rows": 16}')


def overloads(model: Served, cache: Path, seconds: float) -> dict[str, Any]:
    """Return what came of each, and the smaller share of its peak that a default agent still answered in time."""
    programs = install(MLFLOW, cache)
    found = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)

        def measured(label: str, arguments: list[str]) -> Overloaded:
            place = Place(programs, free_port(), model, folder)
            with running(agent(place, arguments), folder / f"{label}.log"):
                return overload(MLFLOW.target(model, place.port), seconds)

        found["onnx"] = measured("onnx", in_process())
        worker = Place(programs, free_port(), model, folder)
        stack.enter_context(running(mlflow_serve(worker), folder / "worker.log"))
        found["mlflow"] = measured("mlflow", before_worker(worker.port))
        small = measured("small", [*before_worker(worker.port), *SMALL_BATCHES])
    shares = {backend: round(one.goodput / one.peak, 3) for backend, one in found.items()}
    figures = {backend: one.row(backend) for backend, one in found.items()}
    beside = {"share": round(small.goodput / small.peak, 3), **small.row("mlflow, batches of 16 rows")}
    return {
        "server": "overload",
        "goodput_of_peak": min(shares.values()),
        "shares": shares,
        **figures,
        "not counted": beside,
    }
