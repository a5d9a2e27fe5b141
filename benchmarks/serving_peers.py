"""The servers that are compared: how each is installed, started and asked, and what it runs.

Peers are installed from PyPI into environments of their own below the cache, at the versions given here. One that
cannot be installed or started is reported as such, and nobody counts as having beaten it.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from benchmarks.load import Target, http_request
from benchmarks.serving_model import ROOT, TOLERANCE, Served
from benchmarks.serving_processes import Command, ServerError

PEERS = "benchmarks.peers"
INSTALL_SECONDS = 400
# Of our own environment's versions: the work is the same to the bit.
BASE = ("polars==2.1.0", "onnxruntime==1.32.0", "numpy==2.4.6", "orjson==3.13.0")
UVICORN = ("uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")
# Every server gets these: threads of polars and OpenMP that wait for one row cost more than they give.
THREADS = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",  # as its guide to performance says
}


@dataclass(frozen=True)
class Place:
    """Where a server finds what it needs: its environment's programs, its port, the model, a folder to write in."""

    programs: Path
    port: int
    model: Served
    scratch: Path


def mlflow_body(served: Served, *rows: dict[str, Any]) -> bytes:
    """Return a request in MLflow's form."""
    return orjson.dumps({"dataframe_records": rows})


def mlflow_probability(body: bytes) -> float:
    """Read an answer in MLflow's form, or a bare list."""
    document = orjson.loads(body)
    predictions = document["predictions"] if isinstance(document, dict) else document
    return float(predictions[0]["probability"])


V2 = {"long": "INT64", "double": "FP64", "string": "BYTES", "datetime": "BYTES", "boolean": "BOOL"}


def v2_body(served: Served, row: dict[str, Any]) -> bytes:
    """Return a request in the Open Inference Protocol's form."""
    inputs = [
        {"name": name, "shape": [1, 1], "datatype": V2[kind], "data": [row[name]]}
        for name, kind in served.columns.items()
    ]
    return orjson.dumps({"inputs": inputs})


def v2_probability(body: bytes) -> float:
    """Read an answer in the Open Inference Protocol's form."""
    outputs = {one["name"]: one["data"] for one in orjson.loads(body)["outputs"]}
    return float(outputs["probability"][0])


@dataclass(frozen=True)
class Peer:
    """One server.

    Attributes:
        name: As tables call it.
        packages: What its environment holds; none: it runs in ours.
        command: How it is started.
        runs: What it does with a row, and its options, for the reader.
        path, body, probability: How it is asked and answers.
        limit: The practical limit, which is no rival.
    """

    name: str
    packages: tuple[str, ...]
    command: Callable[[Place], Command]
    runs: str
    path: str = "/invocations"
    body: Callable[[Served, dict[str, Any]], bytes] = mlflow_body
    probability: Callable[[bytes], float] = mlflow_probability
    limit: bool = False

    def target(self, served: Served, port: int, count: int = 4096) -> Target:
        """Return ready-made requests of distinct rows."""
        requests = [http_request(self.path, self.body(served, row)) for row in served.rows[:count]]
        return Target(port, requests, b'"probability"')

    def wrong(self, served: Served, sample: Sequence[tuple[int, bytes]]) -> int:
        """Count sampled answers that are not what the model says."""
        return sum(not _right(self.probability, body, served.expected[index]) for index, body in sample)


def _right(read: Callable[[bytes], float], body: bytes, expected: float) -> bool:
    try:
        return abs(read(body) - expected) <= TOLERANCE
    except (ValueError, KeyError, TypeError, IndexError):
        return False


def install(peer: Peer, cache: Path) -> Path:
    """Return the folder of the programs of a peer's environment, made now if the cache has none.

    Raises:
        ServerError: It cannot be installed.
    """
    if not peer.packages:
        return Path(sys.executable).parent
    wanted = [*BASE, *peer.packages]
    digest = sha256(" ".join(wanted).encode()).hexdigest()[:10]
    folder = cache / f"{peer.name.split()[0].lower()}-{digest}"
    done = folder / "installed"
    if not done.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        _run(["uv", "venv", "--quiet", "--python", "3.11", str(folder)], peer)
        _run(["uv", "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *wanted], peer)
        done.touch()
    return folder / "bin"


def _run(command: list[str], peer: Peer) -> None:
    try:
        done = subprocess.run(command, timeout=INSTALL_SECONDS, capture_output=True, check=False)
    except subprocess.TimeoutExpired as fault:
        raise ServerError(f"{peer.name} was not installed within {INSTALL_SECONDS} seconds.") from fault
    if done.returncode:
        raise ServerError(f"it cannot be installed: {done.stderr.decode(errors='replace').strip()[-300:]}")


def _own(place: Place) -> Mapping[str, str]:
    return {
        **THREADS,
        **QUIET,
        "FLYWHEEL_BENCH_PACKAGE": str(place.model.package),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{place.programs}:/usr/bin:/bin",
    }


def _uvicorn(name: str) -> Callable[[Place], Command]:
    def command(place: Place) -> Command:
        words = [
            str(place.programs / "uvicorn"),
            f"{PEERS}.{name}:app",
            "--host",
            "127.0.0.1",
            "--port",
            str(place.port),
        ]
        options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        return Command([*words, *options], place.port, "/ping", _own(place), ROOT)

    return command


def _script(name: str, ready: str) -> Callable[[Place], Command]:
    def command(place: Place) -> Command:
        words = [str(place.programs / "python"), "-m", f"{PEERS}.{name}", str(place.port)]
        return Command(words, place.port, ready, _own(place), ROOT)

    return command


def mlflow_serve(place: Place) -> Command:
    """Return plain `mlflow models serve` with one worker."""
    words = [str(place.programs / "mlflow"), "models", "serve", "-m", str(place.model.package)]
    options = ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(place.port), "--workers", "1"]
    path = f"{place.programs}:/usr/bin:/bin"  # mlflow starts its worker's Python from PATH
    return Command([*words, *options], place.port, "/ping", {**THREADS, **QUIET, "PATH": path}, place.scratch)


def _bentoml(place: Place) -> Command:
    words = [str(place.programs / "bentoml"), "serve", f"{PEERS}.bentoml_service:Flights", "--port", str(place.port)]
    environment = {**_own(place), "BENTOML_HOME": str(place.scratch / "bentoml")}
    return Command([*words, "--host", "127.0.0.1"], place.port, "/readyz", environment, ROOT)


def _mlserver(place: Place) -> Command:
    folder = place.scratch / "mlserver"
    folder.mkdir(exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": place.port,
        "grpc_port": place.port + 1 if place.port < 65000 else place.port - 1,
        "metrics_endpoint": None,
        "metrics_port": place.port + 2 if place.port < 65000 else place.port - 2,
        "parallel_workers": 0,
        "debug": False,
    }
    model = {
        "name": "flights",
        "implementation": f"{PEERS}.mlserver_runtime.Flights",
        "max_batch_size": 256,
        "max_batch_time": 0.002,
        "parameters": {"uri": "."},
    }
    (folder / "settings.json").write_bytes(orjson.dumps(settings))
    (folder / "model-settings.json").write_bytes(orjson.dumps(model))
    words = [str(place.programs / "mlserver"), "start", str(folder)]
    return Command(words, place.port, "/v2/models/flights/ready", _own(place), folder)


ONE_CALL = "features.py and model.onnx on ONNX Runtime, one request a call"
BATCHED = "features.py and model.onnx on ONNX Runtime, in batches of at most 256"
MLFLOW = Peer(
    "mlflow models serve", (), mlflow_serve, "the model's own code (pandas, features.py, XGBoost), one worker"
)
RAW = Peer(
    "raw ASGI + ONNX Runtime", UVICORN, _uvicorn("raw_asgi"), f"{ONE_CALL}; uvicorn, uvloop, httptools", limit=True
)
RIVALS = (
    MLFLOW,
    Peer("FastAPI + ONNX Runtime", ("fastapi==0.165.0", *UVICORN), _uvicorn("fastapi_app"), ONE_CALL),
    Peer(
        "MLServer",
        ("mlserver==1.7.1",),
        _mlserver,
        f"{BATCHED}, waiting 2 ms; Open Inference Protocol, in one process",
        "/v2/models/flights/infer",
        v2_body,
        v2_probability,
    ),
    Peer("BentoML", ("bentoml==1.4.40",), _bentoml, f"{BATCHED}, adaptive; one worker, its metrics off"),
    Peer(
        "LitServe",
        ("litserve==0.2.19", "pyzmq==27.3.0"),
        _script("litserve_server", "/health"),
        f"{BATCHED}, waiting 2 ms",
    ),
    Peer("Ray Serve", ("ray[serve]==2.60.0",), _script("ray_app", "/ping"), f"{BATCHED}, waiting 2 ms; one replica"),
)
