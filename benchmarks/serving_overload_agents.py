"""Both kinds of agent under three times their peak; the figure is the worse of the two."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.serving_agent import agent, before_worker, in_process
from benchmarks.serving_model import Served
from benchmarks.serving_overload import overload
from benchmarks.serving_peers import MLFLOW, Place, install, mlflow_serve
from benchmarks.serving_processes import running
from flywheel.stack.ports import free_port

# With full batches the two cores of this machine are the capacity, for client, agent and worker together, and no server
# can refuse twice of what its machine can do. Small batches make the model the bottleneck.
BOUND = ("--serving", '{"batch_rows": 16}')


def overloads(model: Served, cache: Path, seconds: float) -> dict[str, Any]:
    """Return what came of both, and the smaller share of its peak that one of them still answered in time."""
    programs = install(MLFLOW, cache)
    found = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        worker, front, own = (Place(programs, free_port(), model, folder) for _ in range(3))
        with running(agent(own, in_process()), folder / "onnx.log"):
            found["onnx"] = overload(MLFLOW.target(model, own.port), seconds)
        stack.enter_context(running(mlflow_serve(worker), folder / "worker.log"))
        stack.enter_context(running(agent(front, [*before_worker(worker.port), *BOUND]), folder / "agent.log"))
        found["mlflow"] = overload(MLFLOW.target(model, front.port), seconds)
    shares = {backend: round(one.goodput / one.peak, 3) for backend, one in found.items()}
    figures = {backend: one.row(backend)["overload"] | {"statuses": one.statuses} for backend, one in found.items()}
    return {"server": "overload", "goodput_of_peak": min(shares.values()), "shares": shares, **figures}
