"""Flywheel's own side: an agent before a plain `mlflow models serve` worker, or with ONNX Runtime in its process.

Validation, metrics and the prediction log are on, as in production; there is no cache. Only the comparison that prices
the log runs an agent that can be switched (`benchmarks.switched_agent`).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving_model import ROOT
from benchmarks.serving_peers import QUIET, THREADS, Place
from benchmarks.serving_processes import Command
from flywheel.digest import folder_digest

AGENT = "deploy.agent"
SWITCHED = "benchmarks.switched_agent"


def agent(place: Place, backend: Sequence[str], module: str = AGENT) -> Command:
    """Return an agent with the arguments of its backend; its spool lies in the place's scratch folder."""
    spool = place.scratch / f"spool-{place.port}"
    spool.mkdir(exist_ok=True)
    words = [sys.executable, "-m", module, "--package", str(place.model.package), "--usecase", "benchmark"]
    words += ["--version", "1", "--digest", folder_digest(place.model.package), "--port", str(place.port)]
    environment = {**THREADS, **QUIET, "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"}
    return Command([*words, "--spool", str(spool), *backend], place.port, "/ping", environment, ROOT)


def before_worker(port: int) -> list[str]:
    """Return the arguments of an agent before the worker on a port."""
    return ["--scorer", f"http://127.0.0.1:{port}"]


def spooled_bytes(place: Place) -> int:
    """Return what an agent has written into its spool."""
    return sum(path.stat().st_size for path in Path(place.scratch / f"spool-{place.port}").rglob("*") if path.is_file())


def in_process() -> list[str]:
    """Return the arguments of an agent that runs the version's ONNX form itself."""
    return ["--backend", "onnx"]
