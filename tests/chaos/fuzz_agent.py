"""A real agent before a real `mlflow models serve`, for the fuzzer: the tiny model, which answers its own input."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.agent.package import CONTRACT as CONTRACT_FILE
from flywheel.contract import Column
from flywheel.digest import folder_digest
from tests.deploy.conftest import ENVIRONMENT, HERE, ROOT, free_port, status_of, wait_for
from tests.deploy.tiny_contract import CONTRACT

CHANCE = Column(name="chance", type="double", nullable=False, minimum=0, maximum=1)
# The model answers `chance`, so beyond 0 to 1 there would be no valid answer, and no fault of the agent either.
BOUNDED = CONTRACT.model_copy(
    update={"columns": tuple(CHANCE if column.name == "chance" else column for column in CONTRACT.columns)}
)


@dataclass(frozen=True)
class FuzzedAgent:
    """Its process, where it answers, and where it writes."""

    pid: int
    url: str
    grpc: str
    spool: Path
    outcomes: Path


def bounded_package(package: Path, folder: Path) -> Path:
    """Copy the tiny package, with a contract that bounds what the model answers."""
    shutil.copytree(package, folder)
    (folder / CONTRACT_FILE).write_text(BOUNDED.model_dump_json())
    return folder


@contextmanager
def running(folder: Path) -> Iterator[FuzzedAgent]:
    """Make the package, start scorer and agent, and end them."""
    package = folder / "tiny"
    command = [sys.executable, str(HERE / "tiny_package.py"), str(package)]
    subprocess.run(command, check=True, env=ENVIRONMENT, cwd=folder, capture_output=True)
    package = bounded_package(package, folder / "bounded")
    scorer, port, grpc_port = free_port(), free_port(), free_port()
    serve = ["mlflow", "models", "serve", "-m", str(package), "--env-manager", "local"]
    serve += ["-h", "127.0.0.1", "-p", str(scorer), "--workers", "1"]
    agent = [sys.executable, "-m", "deploy.agent", "--package", str(package), "--usecase", "tiny", "--version", "1"]
    agent += ["--digest", folder_digest(package), "--scorer", f"http://127.0.0.1:{scorer}", "--port", str(port)]
    agent += [
        "--grpc-port",
        str(grpc_port),
        "--spool",
        str(folder / "spool"),
        "--drain",
        "0.3",
        "--outcomes",
        str(folder / "outcomes"),
    ]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        started = [
            subprocess.Popen(line, env=ENVIRONMENT, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
            for line in (serve, agent)
        ]
        try:
            wait_for(lambda: status_of(f"{url}/ping") == 200, "an agent's start", 120)
            yield FuzzedAgent(started[1].pid, url, f"127.0.0.1:{grpc_port}", folder / "spool", folder / "outcomes")
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(20)
