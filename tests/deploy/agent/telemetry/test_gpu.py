"""GPUs are asked in the background: a scrape is answered at once, however long the tool takes.

The tool is a stand-in for nvidia-smi, since no machine of the tests has a GPU: what the real one prints is taken from
its manual, not seen.
"""

import asyncio
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.agent.telemetry import gpu
from deploy.agent.telemetry.gpu import GpuCollector
from deploy.agent.telemetry.metrics import Metrics
from tests.deploy.conftest import RunningAgent, wait_for

LINE = "echo '0, 37, 1024, 24576'"


def tool(folder: Path, script: str) -> Path:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def told(collector: GpuCollector) -> dict[str, float]:
    return {sample.name: sample.value for family in collector.collect() for sample in family.samples}


async def test_figures_are_heard_from_the_tool(tmp_path: Path) -> None:
    collector = GpuCollector(str(tool(tmp_path, LINE)))
    assert told(collector) == {}
    await collector.ask()
    assert told(collector) == {
        "flywheel_gpu_utilization_ratio": 0.37,
        "flywheel_gpu_memory_used_bytes": 1 << 30,
        "flywheel_gpu_memory_bytes": 24 << 30,
    }


@pytest.mark.parametrize(
    "script", ["echo 'No devices were found'; exit 6", "echo '0, [N/A], x, y'", f"{LINE}; exit 1", "sleep 60"]
)
async def test_after_an_answer_that_failed_nothing_is_told(
    tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = GpuCollector(str(tool(tmp_path, LINE)))
    await collector.ask()
    assert told(collector)
    tool(tmp_path, script)
    monkeypatch.setattr(gpu, "TIMEOUT_SECONDS", 0.2)
    await collector.ask()
    assert told(collector) == {}


async def test_without_the_tool_nothing_is_told(tmp_path: Path) -> None:
    collector = GpuCollector(str(tmp_path / "none"))
    await collector.ask()
    assert told(collector) == {}


async def test_while_the_tool_thinks_the_loop_turns_and_the_page_tells_what_was_heard_before(tmp_path: Path) -> None:
    collector, metrics = GpuCollector(str(tool(tmp_path, LINE))), Metrics("flights", "3")
    metrics.add(collector)
    await collector.ask()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    tool(tmp_path, f"read line < {gate}; echo '0, 99, 1024, 24576'")  # thinks until something is in the gate
    asking = asyncio.create_task(collector.ask())
    while not (opened := _opened(gate)):
        await asyncio.sleep(0)  # only because the loop turns is the tool ever started
    assert not asking.done()
    assert b'flywheel_gpu_utilization_ratio{gpu="0"} 0.37' in metrics.page()
    os.write(opened, b"go\n")
    os.close(opened)
    await asking
    assert b'flywheel_gpu_utilization_ratio{gpu="0"} 0.99' in metrics.page()


def _opened(gate: Path) -> int:
    """Return a descriptor once the tool reads its gate, 0 before."""
    try:
        return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0


def test_an_agent_answers_scrapes_while_its_tool_hangs_and_leaves_no_tool_behind(
    start_agent: Callable[..., RunningAgent], tiny_scorer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    tool(tmp_path, f"echo $$ > {started}; sleep 600")
    from tests.deploy import conftest  # noqa: PLC0415

    path = f"{tmp_path}{os.pathsep}{conftest.ENVIRONMENT['PATH']}"
    monkeypatch.setitem(conftest.ENVIRONMENT, "PATH", path)
    agent = start_agent(tiny_scorer)
    wait_for(lambda: started.exists() and started.read_text().strip() != "", "the tool's start")
    with urllib.request.urlopen(f"{agent.url}/metrics", timeout=10) as answer:  # noqa: S310  # http, of our own
        page = answer.read().decode()
    assert "flywheel_gpu" not in page
    assert "flywheel_open_connections{" in page
    assert 'flywheel_workers_live{use_case="tiny",version="1"} 1.0' in page
    agent.process.terminate()
    assert agent.process.wait(20) == 0
    tool_pid = int(started.read_text())
    wait_for(lambda: not Path(f"/proc/{tool_pid}").exists(), "the tool's end", 10)
