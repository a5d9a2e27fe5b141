"""A real Envoy with the gateway's own configuration, and a receiver of its traces."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel.settings import Settings
from flywheel.stack.gateway import program, write_configuration
from flywheel.stack.ports import Ports
from tests.deploy.conftest import free_port, start_agent, status_of, tiny_package, tiny_scorer, wait_for

__all__ = ["start_agent", "tiny_package", "tiny_scorer"]  # fixtures of deploy's tests


@dataclass(frozen=True)
class RunningEnvoy:
    """Where requests go and where Envoy tells of itself."""

    url: str
    admin: str


StartEnvoy = Callable[..., RunningEnvoy]


@pytest.fixture
def start_envoy(tmp_path: Path) -> Iterator[StartEnvoy]:
    """Start Envoy for a serving.yaml, with one route to a port."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(serving: str = "", upstream: int = 1) -> RunningEnvoy:
        settings = Settings(home=tmp_path)
        (tmp_path / "serving.yaml").write_text(serving)
        (tmp_path / "logs").mkdir(exist_ok=True)
        ports = Ports(postgres=1, s3=2, mlflow=3, gateway=free_port(), envoy_admin=free_port())
        write_configuration(settings, ports)
        _route(tmp_path / "envoy" / "dynamic", upstream)
        command = program(settings).command
        processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        running = RunningEnvoy(f"http://127.0.0.1:{ports.gateway}", f"http://127.0.0.1:{ports.envoy_admin}")
        wait_for(lambda: status_of(f"{running.admin}/ready") == 200, "envoy's start")
        return running

    yield start
    for process in processes:
        process.terminate()
        process.wait(20)


def _route(folder: Path, upstream: int) -> None:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    cluster = {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": "agent",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "agent", "endpoints": endpoints},
    }
    (folder / "cds.json").write_text(json.dumps({"version_info": "1", "resources": [cluster]}))
    routes = json.loads((folder / "rds.json").read_text())
    routes["resources"][0]["virtual_hosts"][0]["routes"] = [{"match": {"prefix": "/"}, "route": {"cluster": "agent"}}]
    (folder / "rds.json").write_text(json.dumps(routes))
