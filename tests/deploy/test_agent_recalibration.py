"""A running agent is told by a file to move its answers: without a restart, through every protocol, or not at all."""

import json
import math
import os
import shutil
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.agent.grpc.open_inference_pb2 import ModelInferResponse
from deploy.agent.grpc.service import NAME
from deploy.agent.package import CONTRACT as CONTRACT_FILE
from flywheel.contract import Output
from flywheel.digest import folder_digest
from flywheel.package import INSIDE
from flywheel.recalibration import KEY_BYTES, Recalibrated, moved
from tests.deploy.agent.grpc.test_service import typed
from tests.deploy.conftest import RunningAgent, free_port, row, wait_for
from tests.deploy.tiny_contract import CONTRACT

USE_CASE = """
name: tiny
data: {source: {kind: csv, path: x}, event_time: at, label: {column: y}}
monitor: {recalibrate: {most: 1.0}}
"""
OUTPUTS = (Output(name="probability", type="double"), Output(name="decision", type="boolean"))
KEY = os.urandom(KEY_BYTES)


@pytest.fixture
def package(tiny_package: Path, tmp_path: Path) -> Path:
    """Return the tiny model behind a use case that allows a shift of 1, and decides from .5 on."""
    folder = tmp_path / "moving"
    shutil.copytree(tiny_package, folder)
    (folder / INSIDE / "usecase.yaml").write_text(USE_CASE)
    (folder / INSIDE / "decision.json").write_text('{"threshold": 0.5}')
    (folder / CONTRACT_FILE).write_text(CONTRACT.model_copy(update={"outputs": OUTPUTS}).model_dump_json())
    return folder


def post(agent: RunningAgent, path: str, body: Any) -> Any:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{agent.url}{path}", json.dumps(body).encode(), headers)  # noqa: S310  # http
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  # of our own
        return json.loads(response.read())


def ask(agent: RunningAgent, chance: float = 0.45) -> tuple[float, bool]:
    (answer,) = post(agent, "/invocations", {"instances": [row(chance=chance)]})["predictions"]
    return answer["probability"], answer["decision"]


def ask_v2(agent: RunningAgent, chance: float = 0.45) -> tuple[float, bool]:
    kinds = {"at": "BYTES", "chance": "FP64", "count": "INT64", "gap": "FP64", "mood": "BYTES", "key": "BYTES"}
    values = row(chance=chance)
    inputs = [{"name": name, "datatype": kind, "shape": [1], "data": [values[name]]} for name, kind in kinds.items()]
    outputs = post(agent, "/v2/models/tiny/infer", {"inputs": inputs})["outputs"]
    found = {one["name"]: one["data"][0] for one in outputs}
    return found["probability"], found["decision"]


def ask_grpc(port: int) -> float:
    """Ask about a chance of .25 through gRPC."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{NAME}/ModelInfer")
        answer = ModelInferResponse.FromString(infer(typed(1).SerializeToString(), timeout=10))
    return next(output.contents.fp64_contents[0] for output in answer.outputs if output.name == "probability")


def figure(agent: RunningAgent, name: str) -> float:
    with urllib.request.urlopen(f"{agent.url}/metrics", timeout=10) as response:  # noqa: S310  # http, of our own
        families = text_string_to_metric_families(response.read().decode())
    return next(one.value for family in families for one in family.samples if one.name == name)


def test_a_shift_reaches_answers_without_a_restart_and_a_damaged_file_changes_nothing(
    start_agent: Callable[..., RunningAgent], tiny_scorer: str, package: Path, tmp_path: Path
) -> None:
    file, key = tmp_path / "1.json", tmp_path / "key"
    key.write_text(KEY.hex())
    options = ("--recalibration", str(file), "--recalibration-key", str(key))
    port = free_port()
    agent = start_agent(tiny_scorer, package=package, options=(*options, "--grpc-port", str(port)))
    pid = agent.process.pid
    assert ask(agent) == ask_v2(agent) == (0.45, False)
    assert ask_grpc(port) == 0.25

    def tell(shift: float, **changes: Any) -> bytes:
        now = datetime.now(UTC)
        told = {"use_case": "tiny", "version": "1", "digest": folder_digest(package), "shift": shift, "made": now}
        return Recalibrated(**{**told, "as_of": now.replace(tzinfo=None), **changes}).signed(KEY)

    def write(content: bytes) -> None:
        file.with_suffix(".new").write_bytes(content)
        file.with_suffix(".new").replace(file)

    write(tell(0.5))
    wait_for(lambda: ask(agent)[0] != 0.45, "a first shift", 10)
    expected = (moved(0.45, math.exp(-0.5)), True)
    assert ask(agent) == ask_v2(agent) == expected
    assert ask_grpc(port) == moved(0.25, math.exp(-0.5))
    many = post(agent, "/invocations", {"instances": [row(chance=0.45), row(chance=0.1)]})["predictions"]
    assert [one["probability"] for one in many] == [expected[0], moved(0.1, math.exp(-0.5))]

    refused = "flywheel_recalibrations_refused_total"
    for count, wrong in enumerate((tell(0.7)[:-3], tell(1.5), tell(0.7, version="2")), start=1):
        write(wrong)
        wait_for(lambda: figure(agent, refused) == count, "a refusal", 10)  # noqa: B023  # called at once
        assert ask(agent) == expected
    assert b"a recalibration is refused" in agent.log.read_bytes()

    write(tell(-0.5))
    wait_for(lambda: ask(agent)[0] < 0.45, "the next shift", 10)
    write(tell(0.5, made=datetime.now(UTC) - timedelta(days=4.5)))  # half of what it was: it is not renewed
    wait_for(lambda: ask(agent)[0] > 0.45, "a shift that fades", 10)
    assert figure(agent, "flywheel_recalibration_shift") == pytest.approx(0.25, abs=0.01)
    assert agent.process.pid == pid
    assert agent.process.poll() is None

    for record in agent.records():
        raw = moved(record["outputs"]["probability"], math.exp(record.get("shift") or 0))
        assert abs(raw - record["inputs"]["chance"]) < 1e-12
        assert record["outputs"]["decision"] == (record["outputs"]["probability"] >= 0.5)


def test_a_package_that_allows_nothing_is_served_as_it_is(
    start_agent: Callable[..., RunningAgent], tiny_scorer: str, package: Path, tmp_path: Path
) -> None:
    (package / INSIDE / "usecase.yaml").write_text(USE_CASE.replace("monitor: {recalibrate: {most: 1.0}}", ""))
    file, key = tmp_path / "1.json", tmp_path / "key"
    key.write_text(KEY.hex())
    now = datetime.now(UTC)
    told = {"use_case": "tiny", "version": "1", "digest": folder_digest(package), "shift": 0.5, "made": now}
    file.write_bytes(Recalibrated(**told, as_of=now.replace(tzinfo=None)).signed(KEY))
    options = ("--recalibration", str(file), "--recalibration-key", str(key))
    agent = start_agent(tiny_scorer, package=package, options=options)
    assert ask(agent) == (0.45, False)
    assert [record.get("shift") for record in agent.records()] == [None]
