"""Clients that were not written here find in an agent the server that they were written for."""

import json
import math
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

from tests.deploy.conftest import ENVIRONMENT, ROOT, RunningAgent, free_port

Start = Callable[..., RunningAgent]
INPUTS = {"at": "BYTES", "chance": "FP64", "count": "INT64", "gap": "FP64", "mood": "BYTES", "key": "BYTES"}


@pytest.fixture
def ask(start_agent: Start, tiny_scorer: str) -> Callable[[str], tuple[dict[str, Any], RunningAgent]]:
    def run(client: str) -> tuple[dict[str, Any], RunningAgent]:
        grpc_port = free_port()
        agent = start_agent(tiny_scorer, options=("--grpc-port", str(grpc_port)))
        host, port = agent.url.removeprefix("http://").split(":")
        command = [sys.executable, "-m", "tests.deploy.agent.foreign_clients", client, host, port, str(grpc_port)]
        done = subprocess.run(
            command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), agent

    return run


Asking = Callable[[str], tuple[dict[str, Any], RunningAgent]]


def test_mlflows_own_client_gets_predictions_for_a_frame(ask: Asking) -> None:
    said, agent = ask("mlflow")
    assert said["probability"] == [0.25, 0.75]
    assert said["version"] == version("mlflow")
    assert [record["inputs"]["gap"] for record in agent.records()] == [None, 1.5]


def test_tritonclient_over_http_infers_in_json_and_binary(ask: Asking) -> None:
    said, agent = ask("triton-http")
    assert said["live"] and said["ready"] and said["model ready"]  # noqa: PT018  # three words for yes
    assert (said["inputs"], said["outputs"]) == (INPUTS, {"probability": "FP64"})
    assert set(said["answers"]) == {"json to json", "json to binary", "binary to json", "binary to binary"}
    for answer in said["answers"].values():
        assert answer == {"probability": [0.25, 0.75], "id": "r-9"}
    assert said["refused"].startswith("422: ")
    assert "missing" in said["refused"]
    records = agent.records()
    assert [record["inputs"]["mood"] for record in records] == ["calm", "wïld"] * 4
    assert [record["inputs"]["gap"] for record in records[-2:]] == [None, 1.5]


def test_tritonclient_over_grpc_infers_and_is_counted(ask: Asking) -> None:
    said, agent = ask("triton-grpc")
    assert said["live"] and said["ready"] and said["model ready"]  # noqa: PT018  # three words for yes
    assert (said["inputs"], said["outputs"]) == (INPUTS, {"probability": "FP64"})
    assert said["answers"] == {"raw": {"probability": [0.25, 0.75], "id": "r-9"}}
    assert said["refused"].startswith("StatusCode.INVALID_ARGUMENT: ")
    assert [record["inputs"]["at"] for record in agent.records()] == ["2013-01-01T05:00:00"] * 2
    assert math.isclose(_count(agent, 'protocol="v2-grpc",status="200"'), 1)


def _count(agent: RunningAgent, labels: str) -> float:
    with urllib.request.urlopen(f"{agent.url}/metrics", timeout=5) as response:  # noqa: S310  # http, of our own
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if "requests_total{" in line and labels in line)
