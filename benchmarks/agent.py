"""How many predictions a second does a version give, bare and behind its agent?

Starts `mlflow models serve` and an agent on the package given, asks both with one row a request at 1, 32 and 128
connections (client, agent and scorer share this machine), and prints requests per second and latencies.

    python -m benchmarks.agent [PACKAGE] [--seconds 5] [--json FILE]

The table of a run stands in benchmarks/README.md.
"""

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from deploy.agent.package import read_served
from flywheel.digest import folder_digest
from flywheel.goals import Goal, goal, write_goals
from flywheel.settings import load_settings

CONNECTIONS = (1, 32, 128)
START_SECONDS = 120


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(stack: ExitStack, command: list[str], url: str) -> None:
    """Run a server until the stack unwinds; return when its `/ping` is fine."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    stack.callback(process.wait)
    stack.callback(os.killpg, process.pid, signal.SIGTERM)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=5):  # noqa: S310  # http, of our own
                return
        except OSError:
            if time.monotonic() > deadline:
                sys.exit(f"{command[:3]} did not start within {START_SECONDS} seconds.")
            time.sleep(0.2)


async def measure(url: str, body: bytes, connections: int, seconds: float) -> dict[str, Any]:
    """Ask with `connections` clients in a closed loop; return requests/s, latencies (ms) and statuses."""
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    end = time.monotonic() + seconds

    async def client(session: aiohttp.ClientSession) -> None:
        while (began := time.monotonic()) < end:
            async with session.post(f"{url}/invocations", data=body) as response:
                await response.read()
                statuses[response.status] += 1
            latencies.append(time.monotonic() - began)

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector, headers={"content-type": "application/json"}) as session:
        began = time.monotonic()
        await asyncio.gather(*[client(session) for _ in range(connections)])
        took = time.monotonic() - began
    latencies.sort()
    return {
        "connections": connections,
        "requests_per_second": round(len(latencies) / took, 1),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 2),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 2),
        "statuses": {str(status): count for status, count in statuses.items()},
    }


def deployed_package() -> Path:
    """Return the newest package that a stack of this folder has deployed."""
    found = sorted(load_settings().root.glob("packages/*/*/MLmodel"), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit("No version has been deployed here. Run `make demo` first, or name a model folder.")
    return found[-1].parent


def goals_of(rows: list[dict[str, Any]]) -> list[Goal]:
    """Hold the agent against the bare scorer of the same run."""
    rate = {(row["server"], row["connections"]): row["requests_per_second"] for row in rows}
    most = CONNECTIONS[-1]
    unanswered = sum(count for row in rows for status, count in row["statuses"].items() if status != "200")
    return [
        goal("throughput_ratio_at_128", round(rate["agent + scorer", most] / rate["scorer alone", most], 1), ">=", 10),
        goal("throughput_ratio_at_1", round(rate["agent + scorer", 1] / rate["scorer alone", 1], 2), ">=", 0.8),
        goal("unanswered", unanswered, "==", 0),
    ]


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description="Bare scorer against agent and scorer.")
    parser.add_argument("package", type=Path, nargs="?", help="a version's model folder; by default one deployed here")
    parser.add_argument("--seconds", type=float, default=5.0, help="time of each measurement")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    package = options.package or deployed_package()
    scorer, agent = free_port(), free_port()
    urls = {"scorer alone": f"http://127.0.0.1:{scorer}", "agent + scorer": f"http://127.0.0.1:{agent}"}
    body = orjson.dumps({"dataframe_records": read_served(package).example[:1]})
    with tempfile.TemporaryDirectory() as spool, ExitStack() as stack:
        serve = ["mlflow", "models", "serve", "-m", str(package), "--env-manager", "local"]
        start(stack, [*serve, "-h", "127.0.0.1", "-p", str(scorer), "--workers", "1"], urls["scorer alone"])
        command = [sys.executable, "-m", "deploy.agent", "--package", str(package), "--usecase", "benchmark"]
        command += ["--version", "1", "--digest", folder_digest(package), "--port", str(agent)]
        command += ["--scorer", urls["scorer alone"]]
        start(stack, [*command, "--spool", spool], urls["agent + scorer"])
        rows = [
            {"server": name} | asyncio.run(measure(url, body, connections, options.seconds))
            for name, url in urls.items()
            for connections in CONNECTIONS
        ]
    print(f"{'':16}{'connections':>12}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}  statuses")
    for row in rows:
        figures = f"{row['connections']:>12}{row['requests_per_second']:>12}{row['p50_ms']:>10}{row['p99_ms']:>10}"
        print(f"{row['server']:16}{figures}  {row['statuses']}")
    if options.json:
        write_goals(options.json, goals_of(rows), rows)


if __name__ == "__main__":
    main()
