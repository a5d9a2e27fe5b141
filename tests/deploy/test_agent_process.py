"""The agent as it runs: a process of its own before a real `mlflow models serve`."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from deploy.agent.package import CONTRACT
from flywheel.digest import folder_digest
from tests.deploy.conftest import ENVIRONMENT, ROOT, RunningAgent, free_port, row, status_of, wait_for
from tests.deploy.tiny_contract import CLASSES

Start = Callable[..., RunningAgent]
Reply = tuple[int, dict[str, Any], dict[str, str]]


async def post(session: aiohttp.ClientSession, agent: RunningAgent, body: Any, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    given = {"content-type": "application/json", **headers}
    async with session.post(f"{agent.url}/invocations", data=content, headers=given) as response:
        return response.status, orjson.loads(await response.read()), dict(response.headers)


@pytest.fixture
def agent(start_agent: Start, tiny_scorer: str) -> RunningAgent:
    return start_agent(tiny_scorer)


def chances(answer: dict[str, Any]) -> list[float]:
    return [prediction["probability"] for prediction in answer["predictions"]]


async def test_each_of_mlflows_json_forms_is_answered_in_the_order_of_its_rows(agent: RunningAgent) -> None:
    rows = [row(chance=0.1), row(chance=0.9, at="2013-01-01T05:00:00.123456+02:00")]
    columns = list(rows[0])
    bodies: list[dict[str, Any]] = [
        {"dataframe_split": {"columns": columns, "data": [list(one.values()) for one in rows]}},
        {"dataframe_records": rows},
        {"inputs": rows},
        {"inputs": {name: [one[name] for one in rows] for name in columns}},
        {"instances": rows},
    ]
    async with aiohttp.ClientSession() as session:
        for body in bodies:
            status, answer, headers = await post(session, agent, body)
            assert (status, chances(answer)) == (200, [0.1, 0.9]), body
            assert headers["x-flywheel-version"] == "1"
    assert [record["row"] for record in agent.records()] == [0, 1] * len(bodies)


async def test_a_record_says_who_asked_what_and_what_was_answered(agent: RunningAgent) -> None:
    headers = {
        "x-request-id": "r-1",
        "x-envoy-attempt-count": "2",
        "x-flywheel-arm": "challenger",
        "x-flywheel-rollout": "7",
    }
    async with aiohttp.ClientSession() as session:
        _, _, answered = await post(session, agent, {"instances": [row(count=3.0)]}, **headers)
    (record,) = agent.records()
    assert answered["x-flywheel-prediction-id"] == record["prediction_id"]
    expected = {
        "request_id": "r-1",
        "attempt": 2,
        "arm": "challenger",
        "rollout": "7",
        "entity": "a",
        "status": "scored",
    }
    assert {key: record[key] for key in expected} == expected
    assert record["inputs"] == {"at": "2013-01-01T05:00:00", "chance": 0.25, "count": 3, "gap": None, "mood": "calm"}
    assert record["outputs"] == {"probability": 0.25}
    assert record["flags"] == ["null:gap"]


async def test_every_output_of_the_contract_is_answered_and_recorded_and_no_other(
    start_agent: Start, tiny_scorer: str, tiny_package: Path, tmp_path: Path
) -> None:
    package = tmp_path / "classes"
    shutil.copytree(tiny_package, package)
    (package / CONTRACT).write_text(CLASSES.model_dump_json())
    agent = start_agent(tiny_scorer, package=package)
    async with aiohttp.ClientSession() as session:
        _, answer, _ = await post(session, agent, {"instances": [row(chance=0.25), row(chance=0.75)]})
    calm = {"prediction": "calm", "probability_calm": 0.75, "probability_wild": 0.25, "amount": -25.0}
    wild = {"prediction": "wild", "probability_calm": 0.25, "probability_wild": 0.75, "amount": 25.0}
    expected = [calm | {"decision": False}, wild | {"decision": True}]
    assert answer == {"predictions": expected}
    assert [record["outputs"] for record in agent.records()] == expected


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [({"count": 1.5}, "count", "type"), ({"chance": "x"}, "chance", "type"), ({"more": 1}, "more", "unknown")],
)
async def test_a_row_that_breaks_the_contract_is_refused_with_its_field(
    agent: RunningAgent, change: dict[str, Any], field: str, rule: str
) -> None:
    async with aiohttp.ClientSession() as session:
        status, answer, _ = await post(session, agent, {"instances": [row(), row(**change)]})
    assert status == 422
    assert (answer["error"]["field"], answer["error"]["rule"], answer["error"]["row"]) == (field, rule, 1)
    assert agent.records() == []


async def test_what_is_no_request_is_refused_with_a_code_of_its_own(agent: RunningAgent) -> None:
    async with aiohttp.ClientSession() as session:
        assert (await post(session, agent, b"{"))[0] == 400
        assert (await post(session, agent, b"[" * 200_000))[0] == 400
        assert (await post(session, agent, {"instances": [row()] * 1025}))[0] == 413
        async with session.get(f"{agent.url}/invocations") as response:
            assert response.status == 405
        async with session.get(f"{agent.url}/schema") as response:
            assert response.status == 404


async def test_a_row_that_breaks_the_model_harms_no_neighbour(agent: RunningAgent) -> None:
    async with aiohttp.ClientSession() as session:
        bodies = [row(chance=index / 40, mood="broken" if index % 13 == 0 else "calm") for index in range(40)]
        replies = await asyncio.gather(*[post(session, agent, {"instances": [body]}) for body in bodies])
    for index, (status, answer, _) in enumerate(replies):
        if index % 13 == 0:
            assert (status, answer["error"]["rule"]) == (503, "scorer")
        else:
            assert (status, chances(answer)) == (200, [index / 40])
    assert sorted(record["status"] for record in agent.records()) == ["failed"] * 4 + ["scored"] * 36


def test_traffic_is_welcome_only_while_the_scorer_answers(start_agent: Start) -> None:
    agent = start_agent(f"http://127.0.0.1:{free_port()}", wait=False)
    assert status_of(f"{agent.url}/ping") == 503
    assert status_of(f"{agent.url}/version") == 200


async def test_without_a_scorer_an_attempt_fails_with_a_record(start_agent: Start) -> None:
    agent = start_agent(f"http://127.0.0.1:{free_port()}", wait=False)
    async with aiohttp.ClientSession() as session:
        status, answer, _ = await post(session, agent, {"instances": [row()]})
    assert (status, answer["error"]["rule"]) == (503, "scorer")
    assert [record["status"] for record in agent.records()] == ["failed"]


async def test_kill_9_loses_no_record_of_an_answer(agent: RunningAgent) -> None:
    answered: list[str] = []

    async def ask(session: aiohttp.ClientSession) -> None:
        try:
            while True:
                _, _, headers = await post(session, agent, {"instances": [row()]})
                answered.append(headers["x-flywheel-prediction-id"])
        except aiohttp.ClientError:
            return  # the agent is gone

    async with aiohttp.ClientSession() as session:
        clients = [asyncio.create_task(ask(session)) for _ in range(16)]
        while len(answered) < 200:
            await asyncio.sleep(0.01)
        agent.process.kill()
        await asyncio.gather(*clients)
    assert set(answered) <= {record["prediction_id"] for record in agent.records()}


async def test_sigterm_finishes_what_is_in_flight_and_ends_with_0(agent: RunningAgent) -> None:
    statuses: list[int] = []
    refused = asyncio.Event()

    async def ask(session: aiohttp.ClientSession) -> None:
        while not refused.is_set():
            try:
                statuses.append((await post(session, agent, {"instances": [row()]}))[0])
            except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                refused.set()  # a connection that was idle, or a new one: no request was taken

    async with aiohttp.ClientSession() as session:
        clients = [asyncio.create_task(ask(session)) for _ in range(8)]
        while len(statuses) < 50:
            await asyncio.sleep(0.01)
        agent.process.terminate()
        await asyncio.gather(*clients)
    assert await asyncio.to_thread(agent.process.wait, 20) == 0
    assert set(statuses) == {200}
    assert len(statuses) <= len(agent.records())


def test_ping_says_no_while_the_agent_drains(agent: RunningAgent) -> None:
    agent.process.terminate()
    wait_for(lambda: status_of(f"{agent.url}/ping") in (503, 0), "draining", 5)


def test_a_serving_agent_has_imported_no_control_plane_and_no_data_frames(start_agent: Start, tiny_scorer: str) -> None:
    listing = "import sys; from deploy.agent.__main__ import main; main(sys.argv[1:]); print(*sys.modules)"
    agent = start_agent(tiny_scorer, program=["-c", listing])
    agent.process.terminate()
    assert agent.process.wait(20) == 0
    imported = {name.split(".")[0] for name in agent.log.read_text().splitlines()[-1].split()}
    heavy = {"mlflow", "pandas", "numpy", "polars", "pyarrow", "deltalake", "sqlalchemy", "psycopg2", "sklearn"}
    heavy |= {"opentelemetry", "requests"}  # only with --otlp
    assert imported & heavy == set()
    assert {"aiohttp", "uvloop", "httptools", "orjson"} <= imported


def refused(package: Path, digest: str, scorer: str, spool: Path) -> str:
    """Start an agent that must end by itself, with one sentence; return that."""
    command = [sys.executable, "-m", "deploy.agent", "--package", str(package), "--usecase", "tiny", "--version", "1"]
    command += ["--digest", digest, "--scorer", scorer, "--port", str(free_port()), "--spool", str(spool)]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_package_without_contract_ends_the_agent_with_one_sentence(tiny_scorer: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}")
    digest = folder_digest(tmp_path / "model")
    assert refused(tmp_path / "model", digest, tiny_scorer, tmp_path / "spool").startswith("Error: Example")


def test_an_agent_refuses_bytes_that_are_not_those_that_were_approved(
    tiny_package: Path, tiny_scorer: str, tmp_path: Path
) -> None:
    digest = folder_digest(tiny_package)
    changed = Path(shutil.copytree(tiny_package, tmp_path / "model"))
    (changed / "added.py").write_text("print('hello')")
    said = refused(changed, digest, tiny_scorer, tmp_path / "spool")
    assert "is not what was approved" in said
