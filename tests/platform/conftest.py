"""A real Envoy with the gateway's own configuration, and all that our own processes tell."""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from deploy.doorman.counts import DoorCounts
from deploy.doorman.tokens import Book
from deploy.exporter import Exporter
from deploy.log.measured import MeasuredLog
from deploy.loop.passes import Passes
from flywheel.settings import Settings
from flywheel.stack.gateway import program, write_configuration
from flywheel.stack.ports import Ports
from flywheel.textfile import Textfile
from monitoring.reports.metrics import GAUGES, publish
from tests.deploy.conftest import (
    ENVIRONMENT,
    RunningAgent,
    free_port,
    start_agent,
    status_of,
    tiny_package,
    tiny_scorer,
    wait_for,
)

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


def page(url: str) -> str:
    """Return what a page tells."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # http, of our own
        return str(answer.read().decode())


def type_names(text: str) -> frozenset[str]:
    """Return the names of a page's series, counters with their `_total`."""
    found = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    return frozenset(name for name in found if not name.endswith("_created"))


@dataclass(frozen=True)
class Told:
    """Names of the series that agents tell, and that the exporter does."""

    agent: frozenset[str]
    exporter: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return self.agent | self.exporter


@pytest.fixture
def told(
    start_agent: Callable[..., RunningAgent], tiny_scorer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Told:
    """Ask a real agent, with a stand-in for nvidia-smi, and an exporter that passes on what each process tells."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho '0, 37, 1024, 24576'\n")
    tool.chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tool.parent}{os.pathsep}{ENVIRONMENT['PATH']}")
    agent = start_agent(tiny_scorer)
    wait_for(lambda: "flywheel_gpu" in page(f"{agent.url}/metrics"), "an answer of nvidia-smi")
    files = [Textfile(tmp_path, name) for name in ("shipper", "doorman", "controller")]
    MeasuredLog(tmp_path / "log", files[0])
    DoorCounts(files[1], Book)
    Passes(files[2])
    for file in files:
        file.write()
    figures = dict.fromkeys(GAUGES, 1.0)
    publish(tmp_path, "a", at=datetime(2026, 1, 1, tzinfo=UTC), figures=figures, alerts=[])
    exporter = Exporter(Settings(home=tmp_path), {})
    return Told(type_names(page(f"{agent.url}/metrics")), type_names(generate_latest(exporter.registry).decode()))


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
