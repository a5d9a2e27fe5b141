"""A running agent and what no client should send; tests/chaos/fuzz.py does the same a hundred thousand times."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.fuzz import fuzz
from tests.chaos.fuzz_agent import bounded_package
from tests.deploy.conftest import ENVIRONMENT, RunningAgent, free_port

Start = Callable[..., RunningAgent]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


@pytest.fixture
def agent(start_agent: Start, tiny_scorer: str, tiny_package: Path, tmp_path: Path) -> tuple[RunningAgent, str]:
    grpc_port = free_port()
    options = ("--grpc-port", str(grpc_port), "--outcomes", str(tmp_path / "outcomes"))
    package = bounded_package(tiny_package, tmp_path / "bounded")
    return start_agent(tiny_scorer, package=package, options=options), f"127.0.0.1:{grpc_port}"


async def test_broken_requests_of_every_form_are_refused_and_no_record_is_lost(
    agent: tuple[RunningAgent, str], tmp_path: Path
) -> None:
    running, grpc_target = agent
    report = await fuzz(running.url, grpc_target, requests=2_000, seed=7)
    report.check_records(running.spool, tmp_path / "outcomes")
    assert report.faults == []
    answered, refused = Counter[str](), Counter[str]()
    for answer, count in report.answers.items():
        kind, status = answer.split(" ")
        (answered if status in ("200", "OK") else refused)[kind] += count
    assert set(answered) == set(refused) == {"json", "csv", "v2", "v2-binary", "grpc", "feedback"}


def test_schemathesis_finds_no_answer_that_the_document_does_not_promise(
    agent: tuple[RunningAgent, str], tmp_path: Path
) -> None:
    url = agent[0].url
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url, "--no-color"]
    command += ["--checks", ",".join(CHECKS), "--max-examples", "20", "--seed", "7", "--phases", "examples,fuzzing"]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
