"""GPUs, where there are any: asked of `nvidia-smi` on PATH in the background. Without it there are no such series.

The tool takes from 20 ms to seconds, and a scrape is answered on the event loop: so a scrape tells what was heard last.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterable
from contextlib import suppress

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

QUERY = ["--query-gpu=index,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"]
PERIOD_SECONDS = 10.0
TIMEOUT_SECONDS = 5.0
MIB = 1 << 20


class GpuCollector(Collector):
    """Utilisation (0 to 1) and memory (bytes) of each GPU, as heard last; nothing after an answer that failed."""

    def __init__(self, program: str = "nvidia-smi") -> None:
        self._program = shutil.which(program)
        self._heard: tuple[Metric, ...] = ()

    def collect(self) -> Iterable[Metric]:
        """Return what was heard last; never asks."""
        return self._heard

    async def run(self) -> None:
        """Ask every `PERIOD_SECONDS`, until cancelled; where there is no tool there is nothing to do."""
        while self._program is not None:
            await self.ask()
            await asyncio.sleep(PERIOD_SECONDS)
        await asyncio.Event().wait()

    async def ask(self) -> None:
        """Ask once; the event loop goes on meanwhile."""
        try:
            self._heard = _families(await self._said())
        except (OSError, ValueError, TimeoutError):
            self._heard = ()

    async def _said(self) -> str:
        if self._program is None:
            raise FileNotFoundError("there is no such tool")
        pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        # A session of its own: the tool may be a script, and what a script has started must end with it.
        process = await asyncio.create_subprocess_exec(
            self._program, *QUERY, stdin=none, stdout=pipe, stderr=none, start_new_session=True
        )
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise ValueError(f"it ended with {process.returncode}")
        return said.decode()


def _families(said: str) -> tuple[Metric, ...]:
    busy = GaugeMetricFamily("flywheel_gpu_utilization_ratio", "Share of time the GPU works.", labels=("gpu",))
    used = GaugeMetricFamily("flywheel_gpu_memory_used_bytes", "Memory in use on the GPU.", labels=("gpu",))
    total = GaugeMetricFamily("flywheel_gpu_memory_bytes", "Memory of the GPU.", labels=("gpu",))
    for line in said.strip().splitlines():
        index, utilisation, in_use, whole = (part.strip() for part in line.split(","))
        busy.add_metric([index], float(utilisation) / 100)
        used.add_metric([index], float(in_use) * MIB)
        total.add_metric([index], float(whole) * MIB)
    return busy, used, total
