"""A real scorer (`mlflow models serve`) on a tiny model, and real agents before it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flywheel.digest import folder_digest
from flywheel.settings import Settings
from tests.deploy.spool_lines import records_in

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def status_of(url: str) -> int:
    """Return the status of a GET, 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  # http, of our own
            return int(response.status)
    except urllib.error.HTTPError as fault:
        fault.close()
        return fault.code
    except OSError:
        return 0


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} seconds"
        time.sleep(0.05)


def row(**changes: Any) -> dict[str, Any]:
    """A row that keeps the tiny model's contract."""
    return {"at": "2013-01-01T05:00:00Z", "chance": 0.25, "count": 3, "gap": None, "mood": "calm", "key": "a"} | changes


@dataclass
class RunningAgent:
    """An agent's process, where it answers and where it writes."""

    process: "subprocess.Popen[bytes]"
    url: str
    spool: Path
    log: Path

    def records(self) -> list[dict[str, Any]]:
        return records_in(b"".join(path.read_bytes() for path in sorted(self.spool.glob("*.jsonl"))))


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "tiny"
    command = [sys.executable, str(HERE / "tiny_package.py"), str(folder)]
    subprocess.run(command, check=True, env=ENVIRONMENT, cwd=folder.parent, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def tiny_scorer(tiny_package: Path) -> Iterator[str]:
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", str(tiny_package), "--env-manager", "local"]
    command += ["-h", "127.0.0.1", "-p", str(port), "--workers", "1"]
    log = tiny_package.with_name("scorer.log").open("wb")
    process = subprocess.Popen(
        command, env=ENVIRONMENT, cwd=tiny_package.parent, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: status_of(f"{url}/ping") == 200, "a scorer's start", 120)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        log.close()


@pytest.fixture
def start_agent(tiny_package: Path, tmp_path: Path) -> Iterator[Callable[..., RunningAgent]]:
    started: list[RunningAgent] = []

    def start(
        scorer: str,
        *,
        wait: bool = True,
        version: str = "1",
        program: Sequence[str] = ("-m", "deploy.agent"),
        package: Path = tiny_package,
        options: Sequence[str] = (),
    ) -> RunningAgent:
        port, spool = free_port(), tmp_path / "spool" / f"tiny-v{version}"
        command = [sys.executable, *program, "--package", str(package), "--usecase", "tiny"]
        command += ["--version", version, "--digest", folder_digest(package), "--scorer", scorer, "--port", str(port)]
        command += ["--spool", str(spool), "--drain", "0.3", *options]
        path = tmp_path / f"agent-{version}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stdout=log, stderr=log)
        agent = RunningAgent(process, f"http://127.0.0.1:{port}", spool, path)
        started.append(agent)
        wanted = (200,) if wait else (200, 503)
        wait_for(lambda: status_of(f"{agent.url}/ping") in wanted, "an agent's start")
        return agent

    yield start
    for agent in started:
        agent.process.kill()
        agent.process.wait(10)


@pytest.fixture
def serving(stack: Settings) -> Iterator[Path]:
    """Yield where the stack's serving.yaml stands, which there is none of before and after a test."""
    path = stack.root / "serving.yaml"
    yield path
    path.unlink(missing_ok=True)
