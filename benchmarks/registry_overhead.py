"""What the registry's plugin adds to calls that are none of its business: plain MLflow with its login, beside ours.

Both servers work on the same Postgres, database and rows, with the same login; calls take turns, in an order drawn
anew for each pair, so that a machine that gets slower or faster does not favour one. Medians in milliseconds.

    python -m benchmarks.registry_overhead --calls 400
"""

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flywheel.connections import endpoints, secrets
from flywheel.rest import Rest
from flywheel.settings import Settings, load_settings
from flywheel.stack.probes import healthy

USER = "ada"
BATCH = 20  # metrics of one log_batch
WARM = 20  # calls of each kind before any is counted
LOGIN = """[mlflow]
default_permission = READ
database_uri = {database}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 300
"""
Call = Callable[[Rest], Any]
Row = dict[str, Any]


@contextmanager
def plain_server(settings: Settings, folder: Path) -> Iterator[str]:
    """Run MLflow with its own login and registry store on the stack's database, and yield its address."""
    known = secrets(settings)
    database = known.databases["server"]
    (folder / "login.ini").write_text(LOGIN.format(database=database.replace("%", "%%")))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_REGISTRY_STORE_URI": database,
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "login.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": known.users["admin"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-a-benchmark",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = ["mlflow", "server", "--app-name", "basic-auth", "--workers", "1", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            await_server(url, process, folder / "server.log")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


def await_server(url: str, process: "subprocess.Popen[bytes]", log: Path, seconds: float = 90) -> None:
    """Wait until the server answers.

    Raises:
        RuntimeError: It ended, or does not answer in time.
    """
    deadline = time.monotonic() + seconds
    while healthy(f"{url}/health"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The plain server does not answer: {log.read_text()[-500:]}")
        time.sleep(0.2)


def calls_of(experiment: str, run: str) -> dict[str, Call]:
    """Return the calls to compare, by name; each is made anew every time, as a client's would be."""

    def metric(step: int = 0) -> dict[str, Any]:
        return {"key": "loss", "value": random.random(), "timestamp": int(time.time() * 1000), "step": step}  # noqa: S311

    def batch() -> list[dict[str, Any]]:
        return [{**metric(step), "key": f"m{step}"} for step in range(BATCH)]

    return {
        "log_metric": lambda rest: rest.call("POST", "runs/log-metric", run_id=run, **metric()),
        "log_batch": lambda rest: rest.call("POST", "runs/log-batch", run_id=run, metrics=batch()),
        "search": lambda rest: rest.call("POST", "runs/search", experiment_ids=[experiment], max_results=20),
    }


def compare(plain: Rest, ours: Rest, call: Call, count: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of `count` calls on either side."""
    taken: dict[Rest, list[float]] = {plain: [], ours: []}
    for turn in range(count + WARM):
        for side in random.sample([plain, ours], 2):
            began = time.perf_counter()
            call(side)
            if turn >= WARM:
                taken[side].append((time.perf_counter() - began) * 1000)
    return taken[plain], taken[ours]


def measure(settings: Settings, folder: Path, count: int) -> list[Row]:
    """Compare all calls on the running stack; `folder` is for the plain server."""
    with plain_server(settings, folder) as url:
        password = secrets(settings).users[USER]
        plain, ours = Rest(url, USER, password), Rest(endpoints(settings).mlflow_url, USER, password)
        experiment = str(ours.call("POST", "experiments/create", name=f"overhead-{time.time_ns()}")["experiment_id"])
        runs = [ours.call("POST", "runs/create", experiment_id=experiment)["run"]["info"]["run_id"] for _ in range(20)]
        rows = []
        for name, call in calls_of(experiment, runs[0]).items():
            sides = compare(plain, ours, call, count)
            medians = [statistics.median(side) for side in sides]
            rows.append({"call": name, "plain_ms": medians[0], "ours_ms": medians[1], "ratio": medians[1] / medians[0]})
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400, help="of each kind, on either side")
    parser.add_argument("--folder", type=Path, required=True, help="for the plain server's files")
    parser.add_argument("--json", type=Path, help="write the rows there")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    rows = measure(load_settings(), asked.folder, asked.calls)
    for row in rows:
        print(f"{row['call']:<12} plain {row['plain_ms']:7.2f} ms  ours {row['ours_ms']:7.2f} ms  ×{row['ratio']:.3f}")
    if asked.json:
        asked.json.write_text(json.dumps({"rows": rows}, indent=2))


if __name__ == "__main__":
    main()
