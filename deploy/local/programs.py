"""The programs of a version as the supervisor runs them: MLflow's workers, agents, and the node's one shipper."""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.desired import Served
from deploy.local import limited
from deploy.local.choice import Name
from deploy.local.places import Agent, Worker, program_name
from flywheel.recalibration import KEY, path_of
from flywheel.serving import Observability, Resources, UseCaseServing
from flywheel.settings import Settings
from flywheel.stack.supervisor import Program

SHIPPER = "shipper"
EXPORTER = "exporter"
# Bytecode written beside the model would change the digest of its folder.
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1"}
# None that spins while it waits: on two shared cores spinning cost a factor of ten.
THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
# A line of uvicorn's for each request would fill the disk, and say less than the prediction log does.
QUIET = {"UVICORN_ACCESS_LOG": "false"}
# What only the gateway, this target or the log's housekeeping reads: a change of these replaces no agent.
NOT_THE_AGENTS: dict[str, Any] = {
    **dict.fromkeys(("backend", "env_manager", "workers", "replicas", "mirror_percent", "sticky", "fallback"), True),
    "resources": {"worker"},
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


def worker_program(served: Served, worker: Worker, folder: Path, python: Path) -> Program:
    """Return one `mlflow models serve` of a version.

    Args:
        served: The version.
        worker: Which one.
        folder: The version's verified package.
        python: The interpreter of the worker's environment.
    """
    name, resources = program_name("scorer", served, worker.number), worker.form.resources
    address = shown(worker.port, "worker", resources)
    serve = [str(python), "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local"]
    serve += ["-h", "127.0.0.1", "-p", str(worker.port), "--workers", "1"]
    environment = ENVIRONMENT | THREADS | QUIET | {"OMP_NUM_THREADS": str(resources.cpus or 1)}
    if worker.form.environment:
        path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"  # MLflow calls its uvicorn by name
        # Empty, not ours: what this installation has must not be found before what the lock names.
        environment |= {"PATH": path, "VIRTUAL_ENV": str(python.parent.parent), "PYTHONPATH": ""}
    return Program(name, within(resources, "worker", name, serve), environment, address=address)


def agent_program(settings: Settings, version: Version, agent: Agent) -> Program:
    """Return one agent of a version."""
    served, name = version.served, program_name("agent", version.served, agent.number)
    spool = settings.root / "spool" / f"{served.usecase}-v{served.version}"  # all agents of a version share one
    speak = [sys.executable, "-m", "deploy.agent", "--package", str(version.folder), "--usecase", served.usecase]
    speak += ["--version", served.version, "--digest", served.digest, "--spool", str(spool)]
    speak += ["--outcomes", str(settings.root / "outcomes" / spool.name)]
    speak += ["--recalibration", str(path_of(settings.root, served.usecase, served.version))]
    speak += ["--recalibration-key", str(settings.root / KEY)]
    speak += ["--port", str(agent.http), "--grpc-port", str(agent.grpc)]
    speak += ["--backend", version.backend, "--serving", version.settings, *version.traces]
    if version.scorers:
        speak += ["--scorer", ",".join(f"http://127.0.0.1:{port}" for port in version.scorers)]
    seconds = int(version.serving.deadline_seconds) + 10
    resources = version.serving.resources.agent
    address, command = shown(agent.http, version.backend, resources), within(resources, "agent", name, speak)
    return Program(name, command, ENVIRONMENT, stop_seconds=seconds, address=address)


def shown(port: int, what: str, resources: Resources) -> str:
    """Return what `flywheel status` says of a program: where it answers, what it is, and its limits."""
    limits = [
        f"{resources.memory_mb} MB" if resources.memory_mb else "",
        f"{resources.cpus} core{'s' * (resources.cpus != 1)}" if resources.cpus else "",
        f"nice {resources.nice}" if resources.nice else "",
    ]
    return f"http://127.0.0.1:{port} ({', '.join(filter(None, (what, *limits)))})"


def within(resources: Resources, part: str, name: str, command: list[str]) -> list[str]:
    """Return the command that runs another within its limits; the same one where it has none.

    Args:
        resources: The limits.
        part: `agent` or `worker`, as serving.yaml says.
        name: Of the program: which cores it gets.
        command: The other one.
    """
    if resources == Resources():
        return command
    options = ["--part", part, "--name", name, "--nice", str(resources.nice)]
    options += ["--cpus", str(resources.cpus)] if resources.cpus else []
    options += ["--memory-mb", str(resources.memory_mb)] if resources.memory_mb else []
    # By its path and isolated: a worker's environment has neither this project nor its search path.
    return [sys.executable, "-I", limited.__file__, *options, "--", *command]
