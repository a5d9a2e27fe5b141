"""GPUs, where there are any: asked of `nvidia-smi` on PATH at each scrape. Without it there are no such series."""

import shutil
import subprocess
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

QUERY = ["--query-gpu=index,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"]
TIMEOUT_SECONDS = 2.0
MIB = 1 << 20


class GpuCollector(Collector):
    """Utilisation (0 to 1) and memory (bytes) of each GPU. A scrape never fails because of it."""

    def __init__(self, program: str = "nvidia-smi") -> None:
        self._program = shutil.which(program)

    def describe(self) -> Iterable[Metric]:
        """Name nothing, so that registering does not ask."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Ask now; nothing where there is no GPU or no answer."""
        if self._program is None:
            return ()
        try:
            said = subprocess.run(
                [self._program, *QUERY], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
            ).stdout
            return _families(said)
        except (OSError, subprocess.SubprocessError, ValueError):
            return ()


def _families(said: str) -> Iterable[Metric]:
    busy = GaugeMetricFamily("flywheel_gpu_utilization_ratio", "Share of time the GPU works.", labels=("gpu",))
    used = GaugeMetricFamily("flywheel_gpu_memory_used_bytes", "Memory in use on the GPU.", labels=("gpu",))
    total = GaugeMetricFamily("flywheel_gpu_memory_bytes", "Memory of the GPU.", labels=("gpu",))
    for line in said.strip().splitlines():
        index, utilisation, in_use, whole = (part.strip() for part in line.split(","))
        busy.add_metric([index], float(utilisation) / 100)
        used.add_metric([index], float(in_use) * MIB)
        total.add_metric([index], float(whole) * MIB)
    return busy, used, total
