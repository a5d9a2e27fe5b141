"""The programs of a version as the supervisor runs them: MLflow's workers, agents, and the node's one shipper."""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.desired import Served
from deploy.local.choice import Name
from deploy.local.places import Agent, Worker, program_name
from flywheel.serving import Observability, UseCaseServing
from flywheel.settings import Settings
from flywheel.stack.supervisor import Program

SHIPPER = "shipper"
EXPORTER = "exporter"
# Bytecode written beside the model would change the digest of its folder.
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1"}
# One thread a worker, and none that spins while it waits: on two shared cores spinning cost a factor of ten.
THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
# What only the gateway, this target or the log's housekeeping reads: a change of these replaces no agent.
NOT_THE_AGENTS: dict[str, Any] = {
    **dict.fromkeys(("backend", "workers", "replicas", "mirror_percent", "sticky", "fallback"), True),
    "log": {"retention_days"},
}


@dataclass(frozen=True)
class Version:
    """All that the agents of a version are started with, but for their own ports.

    Args:
        served: The version.
        folder: Its verified package.
        backend: What scores.
        scorers: Ports of MLflow's workers; none with `onnx`.
        serving: Its part of serving.yaml.
        observability: Where its traces go.
    """

    served: Served
    folder: Path
    backend: Name
    scorers: tuple[int, ...]
    serving: UseCaseServing
    observability: Observability

    @property
    def settings(self) -> str:
        """The agent's part of serving.yaml as JSON."""
        return self.serving.model_dump_json(exclude=NOT_THE_AGENTS)

    @property
    def traces(self) -> list[str]:
        """The agent's options about traces; none where there is no collector."""
        told = self.observability
        return [] if told.otlp is None else ["--otlp", told.otlp, "--trace-percent", f"{told.sample_percent:g}"]

    @property
    def spec(self) -> str:
        """A digest of everything here: an agent with another one is out of date."""
        whole = f"{self.served} {self.folder} {self.backend} {self.scorers} {self.settings}{' '.join(self.traces)}"
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def shipper_program(settings: Settings) -> Program:
    """Return the program that owns every spool of this home."""
    return Program(SHIPPER, [sys.executable, "-m", "deploy.log.shipper", "--home", str(settings.root)])


def exporter_program(settings: Settings, port: int) -> Program:
    """Return the program that tells Prometheus of the stack and of the log."""
    command = [sys.executable, "-m", "deploy.exporter", "--port", str(port)]
    home = {"FLYWHEEL_HOME": str(settings.root)}
    return Program(EXPORTER, command, home, address=f"http://127.0.0.1:{port}/metrics")


def worker_program(served: Served, worker: Worker, folder: Path) -> Program:
    """Return one `mlflow models serve` of a version; `folder` is its verified package."""
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local"]
    serve += ["-h", "127.0.0.1", "-p", str(worker.port), "--workers", "1"]
    name, address = program_name("scorer", served, worker.number), f"http://127.0.0.1:{worker.port}"
    return Program(name, serve, ENVIRONMENT | THREADS, address=address)


def agent_program(settings: Settings, version: Version, agent: Agent) -> Program:
    """Return one agent of a version."""
    served, name = version.served, program_name("agent", version.served, agent.number)
    spool = settings.root / "spool" / f"{served.usecase}-v{served.version}"  # all agents of a version share one
    speak = [sys.executable, "-m", "deploy.agent", "--package", str(version.folder), "--usecase", served.usecase]
    speak += ["--version", served.version, "--digest", served.digest, "--spool", str(spool)]
    speak += ["--outcomes", str(settings.root / "outcomes" / spool.name)]
    speak += ["--port", str(agent.http), "--grpc-port", str(agent.grpc)]
    speak += ["--backend", version.backend, "--serving", version.settings, *version.traces]
    if version.scorers:
        speak += ["--scorer", ",".join(f"http://127.0.0.1:{port}" for port in version.scorers)]
    seconds = int(version.serving.deadline_seconds) + 10
    address = f"http://127.0.0.1:{agent.http} ({version.backend})"
    return Program(name, speak, ENVIRONMENT, stop_seconds=seconds, address=address)
