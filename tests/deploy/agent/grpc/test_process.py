"""The gRPC door of an agent that runs as a process: how it opens, and how it closes."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc

from deploy.agent.grpc.service import NAME
from flywheel.digest import folder_digest
from tests.deploy.agent.grpc.test_service import Ask, typed
from tests.deploy.conftest import ENVIRONMENT, ROOT, RunningAgent, free_port

Start = Callable[..., RunningAgent]


async def test_sigterm_answers_every_call_that_was_taken_and_ends_with_0(start_agent: Start, tiny_scorer: str) -> None:
    grpc_port = free_port()
    agent = start_agent(tiny_scorer, options=("--grpc-port", str(grpc_port)))
    ids: list[str] = []
    codes: set[grpc.StatusCode] = set()

    async def ask(infer: Ask) -> None:
        while not codes:
            call = infer(typed(1).SerializeToString())
            try:
                await call
            except grpc.aio.AioRpcError as fault:
                codes.add(fault.code())
                return
            ids.append(str(dict(await call.trailing_metadata())["x-flywheel-prediction-id"]))

    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        infer: Ask = channel.unary_unary(f"/{NAME}/ModelInfer")
        clients = [asyncio.create_task(ask(infer)) for _ in range(8)]
        while len(ids) < 50:
            await asyncio.sleep(0.01)
        agent.process.terminate()
        await asyncio.gather(*clients)
    assert await asyncio.to_thread(agent.process.wait, 30) == 0
    # A new call finds no server, or gRPC drops it unread while it closes. One that was taken and then broken would have
    # a record that no client knows of.
    assert codes <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    recorded = [record["prediction_id"] for record in agent.records()]
    assert sorted(ids) == sorted(recorded)


def test_a_port_that_is_taken_ends_the_agent_with_one_sentence(
    tiny_package: Path, tiny_scorer: str, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "deploy.agent", "--package", str(tiny_package), "--usecase", "tiny"]
        command += ["--version", "1", "--digest", folder_digest(tiny_package), "--scorer", tiny_scorer]
        command += ["--port", str(free_port()), "--spool", str(tmp_path / "spool")]
        command += ["--grpc-port", str(taken.getsockname()[1])]
        done = subprocess.run(
            command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert "Error: gRPC cannot listen on 127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
