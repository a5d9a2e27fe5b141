"""Is the client of the serving benchmarks the bottleneck? The same server asked by it and by wrk, on the same core.

    python -m benchmarks.load_check [--seconds 4]

The servers are a bare one that answers at once (what the client can do at most) and the practical limit of the
benchmark. wrk (Debian package wrk) sends the same requests in turns through a Lua script. Read from it: a server of
the benchmark that gives well below the first line's figure was not held up by the client.
"""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.load import HEAD_END, Target, closed_loop
from benchmarks.serving import CACHE
from benchmarks.serving_model import ROOT, Served, served
from benchmarks.serving_peers import MLFLOW, RAW, Place, install
from benchmarks.serving_processes import CLIENT_CORES, Command, pin_client, running
from flywheel.stack.ports import free_port

CONNECTIONS = (1, 32, 128)
BODY = b'{"predictions":[{"probability":0.5,"decision":true}]}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
SCRIPT = """\
local paths, count, index = {}, 0, 0
for line in io.lines("%s") do count = count + 1; paths[count] = line end
wrk.headers["content-type"] = "application/json"
request = function() index = index %% count + 1; return wrk.format("POST", "/invocations", nil, paths[index]) end
"""


class Bare(asyncio.Protocol):
    """Answers whatever comes, one answer for each whole request of a small body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """Answer; the clients here send a request in one piece and wait."""
        if HEAD_END in data:
            self._transport.write(ANSWER)


async def serve_bare(port: int) -> None:
    """Listen until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port)
    await server.serve_forever()


def wrk_rate(port: int, connections: int, seconds: float, script: Path) -> float:
    """Return the requests/s that wrk measures, on the client's core."""
    core = ",".join(map(str, sorted(CLIENT_CORES)))
    command = ["taskset", "-c", core, "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(script)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, timeout=seconds + 30, check=True
    )
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    return float(found[1]) if found else float("nan")


def compare(label: str, target: Target, seconds: float, script: Path) -> None:
    """Print both clients' figures."""
    for connections in CONNECTIONS:
        ours = closed_loop(target, connections, seconds).rate()
        theirs = wrk_rate(target.port, connections, seconds, script)
        print(f"{label:28}{connections:>5}{ours:>12.0f}{theirs:>12.0f}{ours / theirs:>8.2f}", flush=True)


def write_script(folder: Path, model: Served) -> Path:
    """Write what wrk sends."""
    bodies, script = folder / "bodies", folder / "rows.lua"
    bodies.write_bytes(b"\n".join(MLFLOW.body(model, row) for row in model.rows[:4096]) + b"\n")
    script.write_text(SCRIPT % bodies)
    return script


def main() -> None:
    """Compare the clients, or be the bare server."""
    parser = argparse.ArgumentParser(description="The client of the serving benchmarks against wrk.")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        uvloop.run(serve_bare(options.bare))
        return
    if shutil.which("wrk") is None:
        sys.exit("wrk is not on PATH. Install the package wrk.")
    CACHE.mkdir(parents=True, exist_ok=True)
    model = served(CACHE)
    pin_client()
    print(f"{'':28}{'conn':>5}{'this client':>12}{'wrk':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = write_script(folder, model)
        port = free_port()
        words = [sys.executable, "-m", "benchmarks.load_check", "--bare", str(port)]
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"}
        with running(Command(words, port, "/", environment, ROOT), folder / "bare.log"):
            compare("a bare server", MLFLOW.target(model, port), options.seconds, script)
        place = Place(install(RAW, CACHE), free_port(), model, folder)
        with running(RAW.command(place), folder / "raw.log"):
            compare(RAW.name, RAW.target(model, place.port), options.seconds, script)


if __name__ == "__main__":
    main()
