"""The registry's gates as its own process runs them, for tests on the shared stack."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flywheel.policy import GatePolicy, Policy
from flywheel.settings import Settings
from flywheel.stack import objects
from flywheel.stack.credentials import load_credentials
from flywheel.stack.ports import remembered_ports
from registry.doors.artifacts import ARTIFACTS_DESTINATION
from registry.gates.evidence import Evidence, read_evidence
from registry.gates.queue import GateJob, queued
from tests.registry.conftest import ARTIFACTS, Server

FAST = ("size", "card", "licences", "metrics")


def service_environment(stack: Settings) -> dict[str, str]:
    """Return what the registry's process has beside its database: the way to the artifact store."""
    credentials, ports = load_credentials(stack, Policy()), remembered_ports(stack)
    assert ports is not None
    store = objects.client_environment(ports, credentials.s3_key, credentials.s3_secret)
    return {**store, ARTIFACTS_DESTINATION: f"s3://{objects.BUCKET}"}


def job(engine: sa.Engine, required: tuple[str, ...] = FAST, **rest: Any) -> GateJob:
    return GateJob(engine, lambda connection: Policy(gates=GatePolicy(required=required)), **rest)


def register(server: Server, model: str, folder: Path) -> str:
    """Upload a folder and register it as a version."""
    run, place = server.run()
    for path in folder.rglob("*"):
        if path.is_file():
            name = f"{place}/{path.relative_to(folder).as_posix()}"
            assert server.call("ada", "PUT", f"{ARTIFACTS}/{name}", data=path.read_bytes()).status_code == 200
    body = {"name": model, "source": f"mlflow-artifacts:/{place}", "run_id": run}
    return str(server.made("ada", "model-versions/create", **body)["model_version"]["version"])


def evidence(server: Server, model: str, version: str) -> dict[str, Evidence]:
    return read_evidence(server.events(model), f"{model}/{version}")


def only(engine: sa.Engine, made: GateJob, model: str) -> GateJob:
    """Let a job pass over what other tests of the shared stack left in the queue."""
    with engine.connect() as connection:
        made._dealt |= {entry for entry in queued(connection) if entry.subject.model != model}
    return made
