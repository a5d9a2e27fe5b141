"""Service tokens on a whole stack: issued by the registry's command, known to the gateway, shown before an agent."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.gateway.admin import Gateway
from deploy.gateway.clusters import cluster_document
from deploy.gateway.documents import write_document
from deploy.gateway.routes import route_document
from deploy.gateway.traffic import Backend, Replica, Split
from flywheel.connections import endpoints
from flywheel.errors import TransientError
from flywheel.settings import Settings
from flywheel.stack import postgres
from flywheel.stack.down import end_stack, erase
from flywheel.stack.gateway_door import DOORMAN
from flywheel.stack.ports import remembered_ports
from flywheel.stack.status import stack_rows
from flywheel.stack.supervisor import program_states, start_program, stop_and_remove_program, write_program
from flywheel.stack.up import bring_up
from tests.deploy.conftest import ENVIRONMENT, ROOT, RunningAgent, row, wait_for

TRUST_SECONDS = 12
PEOPLE = {"ada": "data_scientist", "grace": "reviewer", "admin": "administrator"}
COMMAND = "from registry.access.cli import app; app()"
Start = Callable[..., RunningAgent]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Settings]:
    """A stack whose gateway asks for service tokens."""
    home = Path(tempfile.mkdtemp(prefix="flywheel-test-"))
    home.chmod(0o755)
    settings = Settings(home=home)
    (home / "policy.yaml").write_text(json.dumps({"people": PEOPLE}))
    (home / "serving.yaml").write_text(f"gateway: {{auth: token, token_trust_seconds: {TRUST_SECONDS}}}\n")
    try:
        bring_up(settings, lambda _: None)
        yield settings
    finally:
        end_stack(settings, patience=5)
        erase(settings)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def routed(guarded: Settings, start_agent: Start, tiny_scorer: str) -> RunningAgent:
    """An agent behind the gateway."""
    agent = start_agent(tiny_scorer)
    backend = Backend("tiny", "1", (Replica(int(agent.url.rpartition(":")[2])),))
    split, dynamic = Split(backend), guarded.root / "envoy" / "dynamic"
    admin = Gateway(endpoints(guarded).envoy_admin_url)
    write_document(dynamic / "cds.json", cluster_document([backend], [split]))
    wait_for(lambda: admin.healthy() >= {backend.cluster}, "the agent's health at the gateway", 20)
    routes = route_document([split])
    write_document(dynamic / "rds.json", routes)
    wait_for(lambda: admin.accepted().routes == routes["version_info"], "the gateway's routes", 20)
    return agent


def token(settings: Settings, *words: str) -> str:
    """Run `flywheel token` with these words, and return its output."""
    environment = ENVIRONMENT | {"FLYWHEEL_HOME": str(settings.root)}
    command = [sys.executable, "-c", COMMAND, "token", *words]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def issue(settings: Settings, name: str, scope: str) -> str:
    return token(settings, "issue", name, "--user", "ada", "--scope", scope)


def predict(settings: Settings, secret: str | None) -> tuple[int, Any]:
    """Ask for a prediction; return the status and the answer."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {secret}"} if secret else {})
    body = json.dumps({"dataframe_records": [row(chance=0.25)]}).encode()
    url = f"{endpoints(settings).gateway_url}/tiny/invocations"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as fault:
        with fault:
            return fault.code, json.load(fault)


def await_status(settings: Settings, secret: str, status: int, within: float) -> None:
    """Ask until a status comes, for so many seconds."""
    wait_for(lambda: predict(settings, secret)[0] == status, f"status {status}", within)


def test_a_token_of_scope_predict_predicts_until_it_is_revoked(guarded: Settings, routed: RunningAgent) -> None:
    secret, other = issue(guarded, "shop", "predict"), issue(guarded, "nightly", "tracking")
    await_status(guarded, secret, 200, within=2)
    assert predict(guarded, secret)[1] == {"predictions": [{"probability": 0.25}]}
    assert len(routed.records()) == 2
    status, answer = predict(guarded, None)
    assert (status, answer["error"]["rule"]) == (401, "auth")
    assert "show a valid token" in answer["error"]["message"]
    await_status(guarded, other, 403, within=2)
    status, answer = predict(guarded, other)
    assert (status, answer["error"]["rule"]) == (403, "auth")
    assert "'ada/nightly' is not of scope 'predict'" in answer["error"]["message"]
    assert predict(guarded, f"{secret[:-1]}{'0' if secret[-1] != '0' else '1'}")[0] == 401
    assert len(routed.records()) == 2
    token(guarded, "revoke", secret.split("_")[1], "--as", "ada")
    await_status(guarded, secret, 401, within=2)


@pytest.mark.usefixtures("routed")
def test_known_tokens_are_let_in_for_as_long_as_it_is_said_while_the_database_is_down(guarded: Settings) -> None:
    secret, ports = issue(guarded, "web", "predict"), remembered_ports(guarded)
    assert ports is not None
    await_status(guarded, secret, 200, within=2)
    began = time.monotonic()
    stop_and_remove_program(guarded, postgres.NAME)
    try:
        assert predict(guarded, secret)[0] == 200
        assert predict(guarded, f"{secret[:-8]}00000000")[0] == 401
        await_status(guarded, secret, 503, within=TRUST_SECONDS + 10)
        assert time.monotonic() - began > TRUST_SECONDS - 1
        message = predict(guarded, secret)[1]["error"]["message"]
        assert "has not reached the database" in message
    finally:
        write_program(guarded, postgres.program(postgres.locate(guarded), ports.postgres))
        start_program(guarded, postgres.NAME)
    await_status(guarded, secret, 200, within=30)


@pytest.mark.usefixtures("routed")
def test_without_a_doorman_requests_wait_until_the_supervisor_has_another(guarded: Settings) -> None:
    secret = issue(guarded, "app", "predict")
    await_status(guarded, secret, 200, within=2)
    first = program_states(guarded)[DOORMAN].pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    # The copy on disk lets it in before the database has been read; a forged token has to wait as well, and in vain.
    assert predict(guarded, secret)[0] == 200
    assert predict(guarded, f"{secret[:-8]}00000000")[0] == 401
    assert program_states(guarded)[DOORMAN].pid not in (None, first)
    assert {one.part: one.healthy for one in stack_rows(guarded)}["Doorman"]


@pytest.mark.usefixtures("routed")
def test_an_envoy_that_was_killed_comes_back_with_its_routes_its_door_and_its_sockets(guarded: Settings) -> None:
    secret = issue(guarded, "cart", "predict")
    await_status(guarded, secret, 200, within=2)
    first = program_states(guarded)["gateway"].pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    admin = Gateway(endpoints(guarded).envoy_admin_url)
    wait_for(lambda: _admits(guarded, admin, secret), "Envoy's return", 30)
    assert program_states(guarded)["gateway"].pid not in (None, first)
    assert predict(guarded, None)[0] == 401


def _admits(settings: Settings, admin: Gateway, secret: str) -> bool:
    try:
        return "tiny-v1" in admin.healthy() and predict(settings, secret)[0] == 200
    except (OSError, TransientError):
        return False
